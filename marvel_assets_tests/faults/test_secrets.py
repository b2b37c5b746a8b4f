"""Secrets are where they were put, and nowhere else: not in files, output, logs, events or traces.

Every place that a secret may stand in has a canary of its own; what remains of a run is searched for all of them.
The pages are searched where they are served anyway, in the story.
"""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from subprocess import CompletedProcess
from threading import Thread

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import marvel, materialize, succeeded
from marvel_assets_tests.faults.canaries import BASIC, CANARY, SECRETS, places_of_secrets
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer


@pytest.fixture
def dead() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


class Refuses(BaseHTTPRequestHandler):
    """Is healthy, and lets nobody in."""

    def answer(self) -> None:
        is_healthy = self.path == "/health"
        self.send_response(200 if is_healthy else 401, None if is_healthy else "Unauthorized")
        self.end_headers()
        self.wfile.write(b"OK" if is_healthy else b"You are not authenticated.")

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_search_finds_what_is_there(home: ProjectPaths):
    # given
    (home.root / "plain").write_text(f"x{SECRETS['KAGGLE_KEY']}x")
    (home.root / "basic").write_bytes(b"Authorization: Basic " + BASIC)

    # then
    found = places_of_secrets(home, CompletedProcess([], 0, "", SECRETS["MARVEL_WEBHOOK_URL"]))
    assert sorted(found) == ["basic", "plain", "stdout and stderr"]


@pytest.mark.slow(reason="two runs in processes of their own")
def test_a_run_that_ends_well_and_one_that_fails_keep_and_print_none(home: ProjectPaths):
    # given: the models are on a server that asks for a token
    with UnityCatalogServer(token=SECRETS["MLFLOW_UC_OSS_TOKEN"]) as catalog:
        root = (home.root / "catalog").as_uri()

        # when
        done = succeeded(marvel("run", MARVEL_UC_URL=catalog.url, MARVEL_UC_STORAGE_ROOT=root, **SECRETS))
    failed = materialize("drift_report,raw_characters", MARVEL_SOURCE="no-such-file.csv", **SECRETS)

    # then
    assert "no such file" in failed.stderr
    lost = places_of_secrets(home, done) + places_of_secrets(home, failed)
    assert lost == []


@pytest.mark.parametrize(
    ("command", "kind"),
    [("run", "401"), ("serve", "dead"), *product(["doctor", "summary"], ["dead", "401"]), ("run", "dead"),
     ("serve", "401")][: amount(1, 8)],
)  # fmt: skip
def test_a_tracking_server_that_fails_does_not_make_them_known(
    home: ProjectPaths, dead: str, refusing: str, command: str, kind: str
):
    # given
    url = f"http://{dead}" if kind == "dead" else refusing
    quick = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}

    # when
    done = marvel(command, MLFLOW_TRACKING_URI=url, **SECRETS, **quick)

    # then
    lost = places_of_secrets(home, done)
    assert lost == []


@pytest.mark.parametrize("kind", ["401", "dead"][: amount(1, 2)])
def test_a_catalog_that_fails_does_not_make_them_known(home: ProjectPaths, dead: str, kind: str):
    # when
    with UnityCatalogServer(token="another") as server:
        url = f"http://{dead}" if kind == "dead" else server.url
        root = (home.root / "catalog").as_uri()
        done = marvel("run", MARVEL_UC_URL=url, MARVEL_UC_STORAGE_ROOT=root, **SECRETS)

    # then
    lost = places_of_secrets(home, done)
    assert (done.returncode != 0, lost) == (True, [])


@pytest.mark.parametrize(
    "settings",
    [
        {"MARVEL_PROFILE": "spark", "MARVEL_SPARK_URL": "sc://{dead}"},
        {"MARVEL_PROFILE": "databricks", "DATABRICKS_HOST": "https://{dead}"},
        {"MARVEL_SOURCE": "kaggle:nobody/nothing", "HTTPS_PROXY": "http://{dead}", "HTTP_PROXY": "http://{dead}"},
    ][amount(2, 0) :],
    ids=["Spark Connect", "Databricks", "Kaggle"][amount(2, 0) :],
)
def test_another_service_that_fails_does_not_make_them_known(home: ProjectPaths, dead: str, settings: dict[str, str]):
    # when
    done = marvel("run", **SECRETS, **{name: value.format(dead=dead) for name, value in settings.items()})

    # then
    lost = places_of_secrets(home, done)
    assert (done.returncode != 0, lost) == (True, [])


ADDRESSES = {
    "MLFLOW_TRACKING_URI": f"https://user:{CANARY}@127.0.0.1:9",
    "MARVEL_UC_URL": f"https://{CANARY}@127.0.0.1:9",
    "MARVEL_SPARK_URL": f"sc://127.0.0.1:9/;token={CANARY}",
    "MARVEL_SPARK_SETTINGS": f"spark.hadoop.fs.s3a.secret.key={CANARY}",
}


@pytest.mark.parametrize("variable", [*ADDRESSES][: amount(1, 4)])
def test_an_address_that_holds_one_is_refused_in_dagsters_own_command_too(home: ProjectPaths, variable: str):
    # when: no look at the settings comes before it
    done = materialize("raw_characters", **{variable: ADDRESSES[variable]})

    # then
    lost = places_of_secrets(home, done)
    assert (done.returncode != 0, lost) == (True, [])
    assert f"{variable}" in done.stderr
