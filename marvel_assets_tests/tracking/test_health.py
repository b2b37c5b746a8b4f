"""What is said of a tracking store that a run could not use, before it trains."""

import json
import re
import sys
from pathlib import Path

import mlflow
import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.health import check_health
from marvel_assets_tests.servers.scripted import Answer, serving


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (401, "refuses the credentials (401): set MLFLOW_TRACKING_USERNAME"),
        (404, f"has no logged models: it is older than MLflow 3, and {mlflow.__version__} is used here. Upgrade the"),
    ],
)
def test_an_answer_that_is_an_error_is_distinguished_from_a_server_that_is_away(
    home: ProjectPaths, status: int, problem: str
):
    # given
    with serving(lambda _: Answer(status, {"Content-Length": "0"})) as server:
        # when
        [message] = check_health(server.url, home.locks)

    # then
    assert message.startswith(f"MLflow's tracking server at {server.url} {problem}")


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://nowhere.invalid", "(Name or service not known|failure in name resolution)"),
    ],
)
def test_a_server_that_is_away_is_named_with_the_reason(home: ProjectPaths, uri: str, reason: str):
    # when
    [message] = check_health(uri, home.locks)

    # then
    ending = re.escape("Is it running, and is MLFLOW_TRACKING_URI its address?")
    assert re.fullmatch(rf"MLflow's tracking server at {uri} can't be reached: .*{reason}. {ending}", message)


@pytest.mark.parametrize("module", ["botocore", "psycopg"])
def test_the_package_that_a_store_lacks_is_named(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, module: str):
    # given
    monkeypatch.setitem(sys.modules, module, None)
    experiment = {"experiment_id": "0", "name": "Default", "artifact_location": "s3://bucket/0"}
    body = json.dumps({"models": [], "experiment": experiment}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    with serving(lambda _: Answer(200, headers, body)) as server:
        # when
        [message] = check_health(server.url if module == "botocore" else "postgresql://127.0.0.1:1/mlflow", home.locks)

    # then
    store = "artifact store at s3://bucket" if module == "botocore" else "tracking database at postgresql://127.0.0.1:1"
    assert message.startswith(f"MLflow's {store}")
    assert f"needs the Python package {module}. Install it" in message


def test_a_database_that_was_not_made_yet_is_not_made_by_the_look(home: ProjectPaths, tmp_path: Path):
    # then
    assert check_health(f"sqlite:///{tmp_path / 'mlflow.db'}", home.locks) == []
    assert not (tmp_path / "mlflow.db").exists()


def test_credentials_that_nothing_names_are_missing_before_a_workspace_is_asked(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("HOME", str(home.root))  # where a configuration file would be
    [message] = check_health("databricks", home.locks)

    # when
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:1")
    monkeypatch.setenv("DATABRICKS_TOKEN", "a token")

    # then
    assert message.startswith("Databricks has no credentials to use: ")
    assert check_health("databricks", home.locks) == []
