"""The whole graph on other profiles: the same assets, through the commands that a user gives."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.unity_catalog import UnityCatalogRegistry
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import (
    BASIC,
    CUSTOM,
    marvel,
    materialize,
    python,
    reference,
    state_of,
    succeeded,
)
from marvel_assets_tests.graph import run_graph
from marvel_assets_tests.servers.databricks import DatabricksWorkspace
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

SECONDS_TO_START = 60

LOAD_AGAIN = """
import sys
import mlflow
from marvel_assets.paths import ProjectPaths
from marvel_assets.defs.resources import spark

home = ProjectPaths.from_environment()
session = spark(home)["spark"].session()
mlflow.set_tracking_uri(f"sqlite:///{home.mlflow_database}")
training = [
    given for given in mlflow.get_run(sys.argv[1]).inputs.dataset_inputs
    if any(tag.value == "training" for tag in given.tags)
]
frame = mlflow.data.get_source(training[0]).load()
print(type(frame).__module__, frame.count())
"""


ON_DATABRICKS = """
import dagster as dg
from marvel_assets.definitions import defs
from marvel_assets.paths import ProjectPaths
from marvel_assets.storage.catalog_tables import CatalogTables
from marvel_assets.storage.engines.spark import SparkEngine
from marvel_assets.defs.resources import databricks, spark

home = ProjectPaths.from_environment()
session = spark(home)["spark"]
session.session().sql("CREATE SCHEMA IF NOT EXISTS spark_catalog.marvel_characters")
resources = databricks(home) | {
    "spark": session,
    "engine": SparkEngine(spark=session),
    "tables": CatalogTables(spark=session, warehouse="", locks=str(home.locks), provenance=str(home.provenance)),
}
graph = dg.Definitions(assets=defs.assets, asset_checks=defs.asset_checks, resources=resources)
graph.resolve_implicit_global_asset_job_def().execute_in_process()
"""
"""The databricks profile, with a local session (and its catalog) in the place of Databricks Connect."""


@pytest.fixture
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def spark_server(spark_home: ProjectPaths, free_port: int) -> Iterator[str]:
    """`marvel spark-server`, ended by its process id, also where what started it ignores the signal."""
    command = [
        "sh",
        "-c",
        'trap "" INT TERM; exec "$@"',
        "sh",
        sys.executable,
        "-c",
        "from marvel_assets.cli import main; main()",
        "spark-server",
        "--port",
        str(free_port),
    ]
    server = subprocess.Popen(
        command, cwd=spark_home.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        try:
            socket.create_connection(("127.0.0.1", free_port), timeout=1).close()
            break
        except OSError:
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.2)
    yield f"sc://127.0.0.1:{free_port}"
    server.send_signal(signal.SIGTERM)
    assert server.wait(SECONDS_TO_START) is not None


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A server that takes every connection and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    taken: list[socket.socket] = []

    def take() -> None:
        while True:
            try:
                taken.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=take, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    for connection in taken:
        connection.close()


@pytest.mark.spark
def test_the_whole_graph_on_a_local_spark_and_then_embedded_changes_nothing(
    spark_home: ProjectPaths, small_project: Path
):
    # given
    printed = succeeded(materialize("*", MARVEL_PROFILE="spark")).stderr
    made = state_of(spark_home, small_project)

    # when
    succeeded(materialize("*"))

    # then
    assert set(made.aliases.values()) == {1}
    assert set(made.table_versions.values()) == {0}
    assert state_of(spark_home, small_project) == made

    # and a user reads no advice on settings that are not theirs
    assert "does not recreate the same environment" not in printed
    assert "Setting default log level" not in printed


@pytest.mark.spark
def test_the_fitted_rows_are_loaded_again_as_a_spark_dataframe_at_their_version(
    spark_home: ProjectPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: rows that were fitted, and a table that has gone on since
    assert run_graph(spark_home, select="*basic_model").success
    model, fitted = reference(spark_home, "basic_model"), reference(spark_home, "train_set")
    more = tmp_path / "more.yml"
    more.write_text(Path(os.environ["MARVEL_CONFIG"]).read_text().replace("rows: 1500", "rows: 1600"))
    monkeypatch.setenv("MARVEL_CONFIG", str(more))
    assert run_graph(spark_home, select="*train_set").success
    assert reference(spark_home, "train_set").version == fitted.version + 1

    # when
    told = succeeded(python("-c", LOAD_AGAIN, model.run_id)).stdout

    # then
    assert told.split()[-1] == str(fitted.rows)
    assert "pyspark" in told


@pytest.mark.spark
def test_the_tables_of_a_spark_connect_server_are_those_of_the_embedded_engine(
    spark_server: str, spark_home: ProjectPaths
):
    # given
    tables = "raw_characters,train_set,test_set,rejected_characters"
    succeeded(materialize(tables, MARVEL_PROFILE="spark", MARVEL_SPARK_URL=spark_server))
    made = [reference(spark_home, name) for name in tables.split(",")]

    # when
    again = run_graph(spark_home, select=tables)

    # then
    assert again.success
    assert [reference(spark_home, name) for name in tables.split(",")] == made


def test_the_whole_graph_with_models_on_a_unity_catalog_server_shows_no_secret(home: ProjectPaths, small_project: Path):
    # given
    canary = "canary-5f1e"
    with UnityCatalogServer(token=canary) as server:
        # when
        run = succeeded(
            marvel(
                "run",
                MARVEL_UC_URL=server.url,
                MARVEL_UC_STORAGE_ROOT=(home.root / "catalog").as_uri(),
                MLFLOW_UC_OSS_TOKEN=canary,
                MLFLOW_TRACKING_PASSWORD=canary,
                DATABRICKS_TOKEN=canary,
                SPARK_CONNECT_AUTHENTICATE_TOKEN=canary,
            )
        )

        # then: both aliases are on the server
        config = ProjectConfig.from_yaml(small_project)
        os.environ["MLFLOW_UC_OSS_TOKEN"] = canary
        try:
            client = connect(f"sqlite:///{home.mlflow_database}", home.locks)
            catalog = UnityCatalogRegistry(client, home.locks, server.url, None)
            under = [catalog.get_version_by_alias(config.qualified(name), "latest-model") for name in (BASIC, CUSTOM)]
        finally:
            del os.environ["MLFLOW_UC_OSS_TOKEN"]
    assert [version.version for version in under] == [1, 1]
    assert '{"Survival prediction": [' in run.stdout
    # and the secret is nowhere: not in what was printed, nor in any file of the home
    assert canary not in run.stdout + run.stderr
    shown = [file for file in home.root.rglob("*") if file.is_file() and canary.encode() in file.read_bytes()]
    assert shown == []


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MARVEL_UC_URL"])
@pytest.mark.parametrize("kind", ["refused", "black hole"])
def test_a_server_that_is_down_ends_the_run_with_its_url_before_anything_is_written(
    home: ProjectPaths, free_port: int, black_hole: str, variable: str, kind: str
):
    # given
    url = f"http://127.0.0.1:{free_port}" if kind == "refused" else black_hole

    # when
    run = marvel("run", **{variable: url})

    # then
    assert run.returncode != 0
    [told] = [line for line in run.stdout.splitlines() if "failed:" in line]
    assert re.search(rf"raw_characters +failed: .*{re.escape(url)}.* can't be reached", told)
    assert not home.warehouse.exists()


@pytest.mark.usefixtures("home")
def test_the_doctor_names_all_that_is_missing_at_once(free_port: int, tmp_path: Path):
    # when
    url = f"http://127.0.0.1:{free_port}"
    told = marvel("doctor", MARVEL_PROFILE="spark", MLFLOW_TRACKING_URI=url, MARVEL_UC_URL=url, JAVA_HOME=str(tmp_path))

    # then
    assert told.returncode == 1
    assert f"{tmp_path}/bin/java does not run" in told.stdout
    assert f"MLflow's tracking server at {url}" in told.stdout
    assert f"The Unity Catalog server at {url} can't be reached" in told.stdout


@pytest.mark.usefixtures("home")
def test_the_doctor_finds_a_fresh_home_ready():
    # when
    told = succeeded(marvel("doctor")).stdout

    # then
    assert told.splitlines()[0] == "Profile embedded, environment dev (marvel_dev.marvel_characters)"
    assert [line.split()[-1] for line in told.splitlines()[1:]] == ["ready"] * 4


@pytest.mark.usefixtures("home")
def test_a_profile_that_does_not_exist_is_named():
    # when
    told = marvel("doctor", MARVEL_PROFILE="sparc")

    # then
    assert "MARVEL_PROFILE is 'sparc'; choose embedded, spark, databricks." in told.stderr


@pytest.mark.spark
def test_the_whole_graph_on_the_parts_of_databricks(
    databricks_workspace: DatabricksWorkspace, spark_home: ProjectPaths, small_project: Path, tmp_path: Path
):
    # given
    project = tmp_path / "project.yml"
    project.write_text(small_project.read_text().replace("marvel_dev", "spark_catalog"))
    databricks_workspace.registry.catalogs.add("spark_catalog")
    account = {"DATABRICKS_HOST": databricks_workspace.url, "DATABRICKS_TOKEN": databricks_workspace.token}

    # when
    succeeded(python("-c", ON_DATABRICKS, MARVEL_CONFIG=str(project), **account))

    # then: tables by name, runs in the workspace, both models under the alias there
    assert not spark_home.warehouse.exists()
    assert not spark_home.mlflow_database.with_suffix(".db-wal").exists()
    names = [f"spark_catalog.marvel_characters.{model}" for model in (BASIC, CUSTOM)]
    aliases = [databricks_workspace.registry.models[name]["aliases"] for name in names]
    assert aliases == [{"latest-model": "1"}, {"latest-model": "1", "last-promoted": "1"}]
    assert ("POST", "/api/2.0/mlflow/runs/create") in databricks_workspace.requests
    assert reference(spark_home, "train_set").name == "spark_catalog.marvel_characters.train_set"


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MARVEL_UC_URL"])
@pytest.mark.usefixtures("home")
def test_an_address_with_a_password_is_refused_and_the_password_not_shown(variable: str):
    # when
    told = marvel("doctor", **{variable: "https://user:canary-5f1e@models.example.org"})

    # then
    assert f"{variable} holds a password, which would be shown; put it into MLFLOW_" in told.stderr
    assert "canary-5f1e" not in told.stdout + told.stderr
