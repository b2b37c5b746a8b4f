"""The whole graph on other profiles: the same assets, through the commands that a user gives."""

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from marvel_assets.defs.resources import databricks, spark
from marvel_assets.paths import ProjectPaths
from marvel_assets.storage.catalog_tables import CatalogTables
from marvel_assets.storage.engines.spark import SparkEngine
from marvel_assets_tests.commands import BASIC, CUSTOM, INTERPRETED, reference
from marvel_assets_tests.databricks_python import databricks_python
from marvel_assets_tests.graph import failure_of, run_graph, succeeded
from marvel_assets_tests.pages import free_port
from marvel_assets_tests.servers.databricks import DatabricksWorkspace

Command = Callable[..., CompletedProcess[str]]


def on_databricks(home: ProjectPaths) -> dict[str, Any]:
    """The databricks profile, with a local session (and its catalog) in the place of Databricks Connect."""
    session = spark(home)["spark"]
    session.session().sql(
        f"CREATE SCHEMA IF NOT EXISTS spark_catalog.marvel_characters LOCATION '{home.root / 'catalog'}'"
    )
    return databricks(home) | {
        "spark": session,
        "engine": SparkEngine(spark=session),
        "tables": CatalogTables(spark=session, warehouse="", locks=str(home.locks), provenance=str(home.provenance)),
    }


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MARVEL_UC_URL"])
def test_a_server_that_is_down_ends_the_run_with_its_url_before_anything_is_written(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, variable: str
):
    # given
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv(variable, url)

    # when
    result = run_graph(home, select="raw_characters")

    # then
    assert re.search(rf"{re.escape(url)}.* can't be reached", failure_of(result))
    assert not home.warehouse.exists()


@pytest.mark.usefixtures("home")
def test_the_doctor_names_all_that_is_missing_at_once(marvel_here: Command, tmp_path: Path):
    # given
    url = f"http://127.0.0.1:{free_port()}"
    lacking = {"MLFLOW_TRACKING_URI": url, "MARVEL_UC_URL": url, "JAVA_HOME": str(tmp_path)}

    # when
    done = marvel_here("doctor", MARVEL_PROFILE="spark", **lacking)

    # then
    assert done.returncode == 1
    assert f"{tmp_path}/bin/java does not run" in done.stdout
    assert f"MLflow's tracking server at {url}" in done.stdout
    assert f"The Unity Catalog server at {url} can't be reached" in done.stdout


@pytest.mark.usefixtures("home")
def test_the_doctor_finds_a_fresh_home_ready(marvel_here: Command):
    # when
    done = marvel_here("doctor")

    # then
    assert done.returncode == 0
    first, *checks = done.stdout.splitlines()
    assert first == "Profile embedded, environment dev (marvel_dev.marvel_characters)"
    assert [line.split()[-1] for line in checks] == ["ready"] * 4


@pytest.mark.spark
@pytest.mark.slow(reason="starts a JVM and runs the graph")
@pytest.mark.skipif(databricks_python() is not None, reason="the real client runs here: test_databricks_connect.py")
def test_the_whole_graph_on_the_parts_of_databricks(
    databricks_workspace: DatabricksWorkspace,
    spark_home: ProjectPaths,
    small_project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    # given: MLflow takes the session for one of Databricks, where workers can't load a model
    monkeypatch.setattr("mlflow.utils.databricks_utils.is_databricks_connect", lambda _: True)
    project = tmp_path / "project.yml"
    project.write_text(small_project.read_text().replace("marvel_dev", "spark_catalog"))
    databricks_workspace.registry.catalogs.add("spark_catalog")
    monkeypatch.setenv("MARVEL_SPARK_SETTINGS", INTERPRETED)
    monkeypatch.setenv("DATABRICKS_HOST", databricks_workspace.url)
    monkeypatch.setenv("DATABRICKS_TOKEN", databricks_workspace.token)
    monkeypatch.setenv("MARVEL_CONFIG", str(project))

    # when
    succeeded(run_graph(spark_home, resources=on_databricks(spark_home)))

    # then: tables by name, runs in the workspace, both models under the alias there
    assert not spark_home.warehouse.exists()
    assert not spark_home.mlflow_database.with_suffix(".db-wal").exists()
    names = [f"spark_catalog.marvel_characters.{model}" for model in (BASIC, CUSTOM)]
    aliases = [databricks_workspace.registry.models[name]["aliases"] for name in names]
    assert aliases == [{"latest-model": "1"}, {"latest-model": "1", "last-promoted": "1"}]
    assert ("POST", "/api/2.0/mlflow/runs/create") in databricks_workspace.requests
    assert reference(spark_home, "train_set").name == "spark_catalog.marvel_characters.train_set"
