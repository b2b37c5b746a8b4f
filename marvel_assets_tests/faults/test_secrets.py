"""Secrets stay in their variables: they are not in files, output, logs, events or traces.

Every such variable has its own canary, and what remains of a run is searched for all of them. story/test_story.py
searches the pages.
"""

from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import dagster as dg
import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import marvel, materialize, succeeded
from marvel_assets_tests.faults import amount
from marvel_assets_tests.faults.canaries import BASIC, SECRETS, places_of_secrets
from marvel_assets_tests.graph import run_graph
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.servers.starting import free_port
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer


@pytest.fixture
def addresses() -> Iterator[dict[str, str]]:
    """A tracking server that is healthy and refuses everyone, a catalog with another token, and a closed port."""

    def refuse(path: str) -> Answer:
        return Answer(body=b"OK") if path == "/health" else Answer(401, body=b"Who are you?")

    with serving(refuse) as tracking, UnityCatalogServer(token="another") as catalog:
        yield {"tracking": tracking.url, "catalog": catalog.url, "closed": f"127.0.0.1:{free_port()}"}


def test_the_search_finds_what_is_there(home: ProjectPaths):
    # given
    (home.root / "plain").write_text(f"x{SECRETS['KAGGLE_KEY']}x")
    (home.root / "basic").write_bytes(b"Authorization: Basic " + BASIC)

    # then
    assert sorted(places_of_secrets(home, SECRETS["MARVEL_WEBHOOK_URL"])) == ["basic", "plain", "what is printed"]


@pytest.mark.slow(reason="two runs in processes of their own")
def test_a_run_that_succeeds_and_one_that_fails_keep_and_print_none(home: ProjectPaths):
    # given: the models are on a server that requires a token
    with UnityCatalogServer(token=SECRETS["MLFLOW_UC_OSS_TOKEN"]) as catalog:
        root = (home.root / "catalog").as_uri()

        # when
        done = succeeded(marvel("run", MARVEL_UC_URL=catalog.url, MARVEL_UC_STORAGE_ROOT=root, **SECRETS))
    failed = materialize("drift_report,raw_characters", MARVEL_SOURCE="no-such-file.csv", **SECRETS)

    # then
    assert "no such file" in failed.stderr
    assert places_of_secrets(home, done.stdout, done.stderr, failed.stdout, failed.stderr) == []


SERVICES = {
    "MLflow": {"MLFLOW_TRACKING_URI": "{tracking}"},
    "Unity Catalog": {"MARVEL_UC_URL": "{catalog}", "MARVEL_UC_STORAGE_ROOT": "file:///nowhere"},
    "Kaggle": {
        "MARVEL_SOURCE": "kaggle:no-owner/nothing", "HTTPS_PROXY": "http://{closed}", "HTTP_PROXY": "http://{closed}",
    },
    "Spark Connect": {"MARVEL_PROFILE": "spark", "MARVEL_SPARK_URL": "sc://{closed}"},
    "Databricks": {"MARVEL_PROFILE": "databricks", "DATABRICKS_HOST": "https://{closed}"},
}  # fmt: skip


@pytest.mark.parametrize("service", [*SERVICES][: amount(3, 5)])
def test_a_service_that_fails_does_not_reveal_them(
    home: ProjectPaths,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    addresses: dict[str, str],
    service: str,
):
    # given
    for name, value in (SECRETS | SERVICES[service]).items():
        monkeypatch.setenv(name, value.format(**addresses))

    # when
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        result = run_graph(home, instance=instance, select="raw_characters")

    # then
    assert not result.success
    assert places_of_secrets(home, *capfd.readouterr()) == []


@pytest.mark.parametrize("command", ["serve", "doctor"][: amount(1, 2)])
def test_a_command_that_is_refused_does_not_reveal_them(
    home: ProjectPaths, marvel_here: Callable[..., CompletedProcess[str]], addresses: dict[str, str], command: str
):
    # when
    done = marvel_here(command, MLFLOW_TRACKING_URI=addresses["tracking"], **SECRETS)

    # then
    assert done.returncode != 0
    assert places_of_secrets(home, done.stdout, done.stderr) == []
