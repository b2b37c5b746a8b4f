"""Fixtures that every suite shares: a home of one's own, a small project, the genuine sample."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import settings

from marvel_assets.home import PROJECT_ROOT, Home
from marvel_assets.resources.mlflow_store import connect

pytest_plugins = ["marvel_assets_tests.fitted_rows"]

# How long an example takes tells about the machine, not about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

SAMPLE = PROJECT_ROOT.parent / "shared" / "data" / "marvel_characters_sample.csv"
SAMPLE_ROWS = 673

SMALL_GENERATOR = {"rows": 1500, "seed": 7}
FEW_TREES = {"learning_rate": 0.1, "n_estimators": 20, "max_depth": 4}


@pytest.fixture(scope="session")
def sample() -> Path:
    """The genuine rows; without them CI fails, and elsewhere the test is skipped."""
    if not SAMPLE.exists():
        message = f"the genuine rows are missing: {SAMPLE}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return SAMPLE


@pytest.fixture(scope="session")
def small_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's configuration with few rows and few trees."""
    content = yaml.safe_load((PROJECT_ROOT / "config" / "project.yml").read_text())
    content |= {"generator": SMALL_GENERATOR, "parameters": FEW_TREES}
    path = tmp_path_factory.mktemp("config") / "project.yml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="session")
def mlflow_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's empty database, made once: its migrations take seconds."""
    home = Home(tmp_path_factory.mktemp("mlflow"))
    connect(f"sqlite:///{home.mlflow_database}", home.locks)
    return home.mlflow_database


@pytest.fixture(scope="session")
def spark_folder() -> Path:
    """Delta's jars and the class-data archive, fetched and made once by `make test` or here."""
    from marvel_assets.resources.spark.local import LocalJvm

    made = Home(PROJECT_ROOT / ".marvel")
    jvm = LocalJvm.provide(made.spark, made.locks)
    jvm.make_archive()
    return made.spark


@pytest.fixture
def spark_home(home: Home, spark_folder: Path) -> Home:
    """A home of the test's own, with what Spark needs in it."""
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    return home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_project: Path, mlflow_database: Path) -> Home:
    """A home of the test's own, with MLflow's empty database, that commands and resources find."""
    made = Home(tmp_path / "home")
    made.mlflow_database.parent.mkdir(parents=True)
    shutil.copyfile(mlflow_database, made.mlflow_database)
    made.prepare()
    monkeypatch.setenv("MARVEL_HOME", str(made.root))
    monkeypatch.setenv("MARVEL_CONFIG", str(small_project))
    monkeypatch.setenv("DAGSTER_HOME", str(made.dagster))
    for name in ("MARVEL_SOURCE", "MARVEL_ENV", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return made
