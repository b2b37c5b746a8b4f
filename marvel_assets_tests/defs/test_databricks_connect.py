"""The databricks profile on the project's Spark Connect server, with Databricks Connect if it runs here."""

import functools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import INTERPRETED, users_environment
from marvel_assets_tests.servers.databricks import DatabricksWorkspace
from marvel_assets_tests.servers.starting import SPARK_CONNECT_PORT, free_port, spark_connect_server

pytestmark = [
    pytest.mark.spark,
    pytest.mark.slow(reason="runs the graph over a Spark Connect server"),
]


@functools.cache
def databricks_python() -> str | None:
    """A Python 3.13 or 3.12 of this machine, or None. A shim may be of a version that is not installed."""
    for name in ("python3.13", "python3.12"):
        if (python := shutil.which(name)) and subprocess.run([python, "-c", ""], check=False).returncode == 0:
            return python
    return None


@pytest.fixture
def client() -> Path:
    """The Python of the profile's environment, which a Python that Databricks Connect runs on makes; else this one."""
    python = databricks_python()
    if python is None:
        return Path(sys.executable)
    subprocess.run([python, "tools/bootstrap.py", "databricks"], cwd=PROJECT_ROOT, check=True)
    return PROJECT_ROOT / ".venv-databricks" / "bin" / "python"


@pytest.fixture
def port(scorer: str, client: Path, home: ProjectPaths, request: pytest.FixtureRequest) -> Iterator[int]:
    """The Spark Connect server's: the shared one, or one whose workers have the client's Python, so that they score."""
    if scorer == "client":
        request.getfixturevalue("connect_server")
        yield SPARK_CONNECT_PORT
    elif databricks_python() is None:
        pytest.skip("Databricks Connect runs on Python 3.12 or 3.13, and none is on the PATH")
    else:
        own = free_port()
        home.spark.symlink_to(request.getfixturevalue("spark_folder"), target_is_directory=True)
        with spark_connect_server(home, f"PORT={own}", PYSPARK_PYTHON=str(client)):
            yield own


@pytest.mark.parametrize(
    ("scorer", "header", "until"),
    [("workers", "", "rollback"), ("client", ";x-databricks-cluster-id=of-the-tests", "graph")],
)
def test_graph_unchanged_run_change_feed_retraining_and_rollback(
    client: Path,
    port: int,
    scorer: str,
    header: str,
    until: str,
    databricks_workspace: DatabricksWorkspace,
    home: ProjectPaths,
    small_project: Path,
    tmp_path: Path,
):
    # given: the one catalog of this server. By the header MLflow takes it for Databricks, and the client scores. What
    # comes after the first scores is the same for both
    project, content = tmp_path / "project.yml", yaml.safe_load(small_project.read_text())
    content["dev"] = {"catalog_name": "spark_catalog", "schema_name": f"scored_by_{scorer}"}
    project.write_text(yaml.safe_dump(content))
    databricks_workspace.registry.catalogs.add("spark_catalog")

    # when
    settings = {
        "MARVEL_HOME": str(home.root),
        "MARVEL_CONFIG": str(project),
        "MARVEL_PROFILE": "databricks",
        "DATABRICKS_HOST": databricks_workspace.url,
        "DATABRICKS_TOKEN": databricks_workspace.token,
        "SPARK_REMOTE": f"sc://127.0.0.1:{port}/{header}",
        "MARVEL_SPARK_SETTINGS": INTERPRETED,
    }
    done = subprocess.run(
        [client, "-m", "marvel_assets_tests.defs.databricks_walk", tmp_path, until],
        cwd=PROJECT_ROOT, env={**users_environment(), **settings}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    # then
    assert done.returncode == 0, done.stderr[-6000:]
    assert not home.warehouse.exists()
    assert ("POST", "/api/2.0/mlflow/runs/create") in databricks_workspace.requests
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]  # MLflow prints, too
    graph, *others = steps
    assert graph["scored"] > 1400
    if until == "rollback":
        unchanged, scored, retrained, rolled_back = others
        assert unchanged["work"] == []
        assert 0 < scored["scored"] <= 10
        assert (retrained["served"], rolled_back["served"]) == ([2, 2], [1, 1])
