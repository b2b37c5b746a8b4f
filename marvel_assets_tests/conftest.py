"""Fixtures that every suite shares: a home of one's own, a small project, the genuine sample."""

import os
import shutil
import signal
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
from marvel_assets_tests.commands import marvel, succeeded
from marvel_assets_tests.homes import STORE, Templates, copy_of, made_once, make_empty

pytest_plugins = ["marvel_assets_tests.fitted_rows", "marvel_assets_tests.registry.backends"]

# How long an example takes depends on the machine, not on the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SAMPLE = PROJECT_ROOT.parent / "shared" / "data" / "marvel_characters_sample.csv"
SAMPLE_ROWS = 673

LONGEST = ("test_readme.py", "test_types.py")
IN_ONE_JVM = ("test_one_answer.py", "spark/test_session.py", "engines/test_spark.py", "test_catalog_tables.py")
"""Files whose tests start a local session of Spark in the worker's own process."""

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


class OneWorkerForSpark(LoadFileScheduling):
    """A file at a time, but all files with a local Spark session to one worker, which starts one JVM for them."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "spark" if file.endswith(IN_ONE_JVM) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    return OneWorkerForSpark(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no worker is left alone with one of them in the end.

    Of the slow files, those with Spark come last, and of the quicker ones first: one of README.md's runs leaves the
    class-data archive with which JVMs start faster.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    spark = {item.path for item in items if item.get_closest_marker("spark")}

    def rank(item: pytest.Item) -> tuple[bool, bool, bool]:
        is_slow, has_spark = item.path in slow, item.path in spark
        return item.path.name not in LONGEST, not is_slow, is_slow == has_spark

    items.sort(key=rank)


@pytest.fixture(scope="session")
def sample() -> Path:
    """The genuine rows; without them CI fails, and elsewhere the test is skipped."""
    if not SAMPLE.exists():
        message = f"the genuine rows are missing: {SAMPLE}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return SAMPLE


@pytest.fixture(scope="module", autouse=True)
def _no_store_is_left_behind() -> Iterator[None]:
    """MLflow notes its store in the environment, where the next file's tests would find it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(STORE, "")
        environment.delenv(STORE)
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
    return ProjectPaths(made_once(tmp_path_factory, "empty", lambda folder: make_empty(ProjectPaths(folder))))


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
    """Delta's jars, downloaded once; the first session that ends puts the class-data archive beside them."""
    from marvel_assets.spark.local import local_settings

    made = ProjectPaths(PROJECT_ROOT / ".marvel")
    local_settings(made.spark, made.locks)
    return made.spark


@pytest.fixture
def spark_home(home: ProjectPaths, spark_folder: Path) -> ProjectPaths:
    """A home of the test's own, with what Spark needs in it."""
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    return home


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_project: Path, empty_home: ProjectPaths
) -> ProjectPaths:
    """A home of the test's own, with MLflow's empty database, that commands and resources find."""
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
    """The test's own home, with the whole graph materialised: to be changed at will."""
    shutil.rmtree(home.root)
    return copy_of(first_run, home.root)


@pytest.fixture
def given_runs(home: ProjectPaths, templates: Templates) -> Callable[..., ProjectPaths]:
    """Puts the test's home where the graph was run from characters with these shares of wrong labels."""

    def put(*shares: float) -> ProjectPaths:
        shutil.rmtree(home.root)
        return copy_of(templates.after(*shares), home.root)

    return put


@pytest.fixture
def marvel_here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., CompletedProcess[str]]:
    """Runs the project's command in this process, which saves the imports of another one."""

    def give(*arguments: str, **settings: str) -> CompletedProcess[str]:
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

    return give
