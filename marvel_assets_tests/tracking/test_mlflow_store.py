"""MLflow's store on a first start, several at once included."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from marvel_assets.paths import PROJECT_ROOT, Home
from marvel_assets.tracking.mlflow_store import connect

FIRST_START = """
import sys
from pathlib import Path
from marvel_assets.tracking.mlflow_store import connect
client = connect(sys.argv[1], Path(sys.argv[2]))
client.create_run(client.create_experiment(sys.argv[3]))
"""


def uri_of(home: Home) -> str:
    return f"sqlite:///{home.mlflow_database}"


@pytest.fixture
def fresh(tmp_path: Path) -> Home:
    """A home in which MLflow was never started."""
    return Home(tmp_path / "fresh")


@pytest.mark.integration
def test_four_processes_at_a_fresh_home_make_one_good_database(fresh: Home):
    # given
    command = [sys.executable, "-c", FIRST_START, uri_of(fresh), str(fresh.locks)]

    # when
    processes = [subprocess.Popen([*command, f"/e{number}"], cwd=PROJECT_ROOT) for number in range(4)]
    codes = [process.wait(timeout=300) for process in processes]

    # then
    assert codes == [0] * 4
    client = connect(uri_of(fresh), fresh.locks)
    experiments = {experiment.name: experiment.experiment_id for experiment in client.search_experiments()}
    assert experiments.keys() == {"Default", "/e0", "/e1", "/e2", "/e3"}
    assert len(client.search_runs(list(experiments.values()))) == 4
    with closing(sqlite3.connect(fresh.mlflow_database)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_what_a_broken_off_start_left_behind_is_in_nobodys_way(fresh: Home):
    # given
    fresh.mlflow_database.parent.mkdir(parents=True)
    fresh.mlflow_database.with_suffix(".unfinished").write_bytes(b"half a data")

    # when
    client = connect(uri_of(fresh), fresh.locks)

    # then
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert sorted(file.name for file in fresh.mlflow_database.parent.iterdir() if file.is_file()) == ["mlflow.db"]


def test_a_database_that_is_there_is_left_as_it_is(home: Home):
    # given
    connect(uri_of(home), home.locks).create_experiment("/kept")

    # when
    client = connect(uri_of(home), home.locks)

    # then
    assert client.get_experiment_by_name("/kept") is not None


def test_mlflows_own_functions_use_the_same_store_as_tracking_and_registry(home: Home):
    # when
    connect(uri_of(home), home.locks)

    # then
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == (uri_of(home), uri_of(home))


def test_connecting_elsewhere_leaves_the_first_store(home: Home, mlflow_database: Path):
    # given
    connect(uri_of(home), home.locks)

    # when
    elsewhere = connect(f"sqlite:///{mlflow_database}", home.locks)
    back = connect(uri_of(home), home.locks)
    back.create_experiment("/only-here")

    # then
    assert mlflow.get_tracking_uri() == uri_of(home)
    assert back.get_experiment_by_name("/only-here") is not None
    assert elsewhere.tracking_uri != back.tracking_uri
