"""Fixtures that every suite shares: a home, a small project, the genuine sample."""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from marvel_assets import cli
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import INTERPRETED, marvel, succeeded
from marvel_assets_tests.homes import Templates, copy_of, made_once, make_empty, restored_store
from marvel_assets_tests.servers.starting import TrackingServer, mlflow_server, spark_connect_server

pytest_plugins = ["marvel_assets_tests.fitted_rows", "marvel_assets_tests.registry.backends"]

# How long an example takes depends on the machine, not on the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SAMPLE = PROJECT_ROOT.parent / "shared" / "data" / "marvel_characters_sample.csv"
SAMPLE_ROWS = 673

TOGETHER = {
    "README": ["::test_every_block_of_the_readme_works_in"],
    "README from serving on": ["::test_every_block_of_the_readme_works_from"],
    "mypy": ["::test_mypy"],
    "Spark's session": [
        "test_one_answer.py",
        "spark/test_session.py",
        "engines/test_spark.py",
        "test_catalog_tables.py",
    ],
    "Spark's server": ["test_databricks_connect.py", "::test_every_block_of_the_deployment"],
    "MLflow's server": ["faults/test_servers.py", "tracking/test_homes.py", "tracking/test_mlflow_store.py"],
    "registries": ["registry/test_contract.py", "faults/test_at_once.py"],
}
"""Tests that share what takes long to make, and go to one worker, by parts of their ids."""
LONGEST = ("README", "README from serving on", "mypy")

SMALL_GENERATOR = {"rows": 1500, "seed": 7}
FEW_TREES = {"learning_rate": 0.1, "n_estimators": 20, "max_depth": 4}


def pytest_configure() -> None:
    """Let Ctrl+C end the tests also if a shell started them in the background, where it is ignored.

    Dagster handles SIGTERM as Ctrl+C: servers that are started after a run in this process would ignore it, too.
    The tests' processes cache the bytecode of this package, which saves half a second in each.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as cores: a third of the time tests wait for a JVM, a browser or a server."""
    cores = os.cpu_count() or 1
    return cores + cores // 2


def group_of(nodeid: str) -> str:
    """Its group of ``TOGETHER``, else its file."""
    return next(
        (name for name, parts in TOGETHER.items() if any(part in nodeid for part in parts)), nodeid.partition("::")[0]
    )


class GroupScheduling(LoadFileScheduling):
    """One group at a time to each worker; xdist's own groups have no effect with this pytest."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest group, so that no worker is left alone in the end.

    Of the slow groups, those with Spark come last: README.md's run leaves the class-data archive with which JVMs start
    faster.
    """
    groups = {item: group_of(item.nodeid) for item in items}
    slow, spark = ({groups[item] for item in items if item.get_closest_marker(name)} for name in ("slow", "spark"))
    items.sort(key=lambda item: (groups[item] not in LONGEST, groups[item] not in slow, groups[item] in spark))


@pytest.fixture(scope="session")
def sample() -> Path:
    """The genuine rows; without them CI fails, and elsewhere the test is skipped."""
    if not SAMPLE.exists():
        message = f"the genuine rows are missing: {SAMPLE}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return SAMPLE


@pytest.fixture(scope="module", autouse=True)
def _restored_store() -> Iterator[None]:
    with restored_store():
        yield


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's configuration with few rows and few trees."""
    content = yaml.safe_load((PROJECT_ROOT / "config" / "project.yml").read_text())
    content |= {"generator": SMALL_GENERATOR, "model": FEW_TREES}
    path = tmp_path_factory.mktemp("config") / "project.yml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def without_magic(small_project: Path, tmp_path: Path) -> Path:
    """A small project without the feature Magic."""
    content = yaml.safe_load(small_project.read_text())
    features = ["Universe", "Identity", "Gender", "Marital_Status", "Teams", "Origin", "Mutant"]
    path = tmp_path / "without_magic.yml"
    path.write_text(yaml.safe_dump(content | {"cat_features": features}))
    return path


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> ProjectPaths:
    """A home with Dagster's instance and MLflow's empty database. To be copied."""
    return ProjectPaths(made_once(tmp_path_factory, "empty", make_empty))


@pytest.fixture(scope="session")
def mlflow_database(empty_home: ProjectPaths) -> Path:
    """MLflow's empty database. To be copied."""
    return empty_home.mlflow_database


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory, empty_home: ProjectPaths, small_project: Path) -> Templates:
    """Homes in which the graph has been run. To be copied."""
    return Templates(tmp_path_factory, empty_home, small_project)


@pytest.fixture(scope="session")
def spark_folder() -> Path:
    """Delta's jars, downloaded once; the first session that ends writes the class-data archive beside them."""
    from marvel_assets.spark.local import local_settings

    made = ProjectPaths(PROJECT_ROOT / ".marvel")
    local_settings(made.spark)
    return made.spark


@pytest.fixture(scope="session")
def _made_by_make() -> None:
    """Skip where `make` did not make this environment, and would replace it now."""
    stamp = PROJECT_ROOT / ".venv" / "installed.json"
    if not (stamp.exists() and json.loads(stamp.read_text()).get("made_by") == [sys.version, str(PROJECT_ROOT)]):
        pytest.skip("make did not make this environment, and would do so now")


@pytest.fixture(scope="session")
def connect_server(tmp_path_factory: pytest.TempPathFactory, spark_folder: Path, _made_by_make: None) -> Iterator[None]:
    """`make spark-server`, which its tests share."""
    home = ProjectPaths(tmp_path_factory.mktemp("connect-server"))
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    with spark_connect_server(home, MARVEL_SPARK_SETTINGS=INTERPRETED):
        yield


@pytest.fixture(scope="session")
def tracking_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingServer]:
    """A real `mlflow server`, which its tests share."""
    with mlflow_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_project: Path, empty_home: ProjectPaths
) -> ProjectPaths:
    """The test's home, with MLflow's empty database: commands and resources find it."""
    made = copy_of(empty_home, tmp_path / "home")
    monkeypatch.setenv("MARVEL_HOME", str(made.root))
    monkeypatch.setenv("MARVEL_CONFIG", str(small_project))
    monkeypatch.setenv("DAGSTER_HOME", str(made.dagster))
    for name in ("MARVEL_SOURCE", "MARVEL_ENV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, small_project: Path) -> ProjectPaths:
    """The whole graph, materialised by `marvel run` into a fresh home. Read only.

    Beside it are what the command printed, and its folder for temporary files.
    """

    def make(folder: Path) -> None:
        temporary = folder / "temporary"
        temporary.mkdir()
        settings = {"MARVEL_HOME": str(folder / "home"), "MARVEL_CONFIG": str(small_project), "MARVEL_SOURCE": ""}
        done = succeeded(marvel("run", TMPDIR=str(temporary), **settings))
        (folder / "printed").write_text(done.stdout)

    return ProjectPaths(made_once(tmp_path_factory, "first-run", make) / "home")


@pytest.fixture
def materialised(home: ProjectPaths, first_run: ProjectPaths) -> ProjectPaths:
    """The test's home, with the whole graph materialised."""
    shutil.rmtree(home.root)
    return copy_of(first_run, home.root)


@pytest.fixture
def given_runs(home: ProjectPaths, templates: Templates) -> Callable[..., ProjectPaths]:
    """Makes the test's home one in which the graph was run from characters with these shares of wrong labels."""

    def replace_home(*shares: float) -> ProjectPaths:
        shutil.rmtree(home.root)
        return copy_of(templates.after(*shares), home.root)

    return replace_home


@pytest.fixture
def marvel_here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., CompletedProcess[str]]:
    """Runs the project's command in this process, which saves the imports of another one."""

    def call(*arguments: str, **settings: str) -> CompletedProcess[str]:
        capfd.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["marvel", *arguments])
            for name, value in settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed, code = capfd.readouterr(), ended.value.code
        message = f"{code}\n" if isinstance(code, str) else ""
        return CompletedProcess([*arguments], 1 if message else code or 0, printed.out, printed.err + message)

    return call
