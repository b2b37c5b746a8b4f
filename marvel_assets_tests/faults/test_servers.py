"""The tracking server or the catalog fails during a run; when it is back, a run finds the finished work.

Runs in this process talk to real servers through a proxy that fails calls. MLflow's timeout is two seconds here, and
it tries twice.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from marvel_assets.defs.alerts import cause_of
from marvel_assets.defs.registration.assets import GATE
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_resource import CACHE_KEY
from marvel_assets.tracking.mlflow_store import DEFAULTS
from marvel_assets_tests.faults import amount
from marvel_assets_tests.graph import run_graph, succeeded
from marvel_assets_tests.servers.fault_proxy import FaultProxy, Kind
from marvel_assets_tests.servers.starting import TrackingServer, free_port
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

TRIES = 2
TIMEOUT, RETRIES = (int(DEFAULTS[f"MLFLOW_HTTP_REQUEST_{name}"]) for name in ("TIMEOUT", "MAX_RETRIES"))
SECONDS_A_CALL = 5 + TIMEOUT * (RETRIES + 1)
"""How long a call that fails holds a run with the settings that users have; 5 s are between the tries."""
SECONDS_IN_ALL = 120

Faults = list[tuple[Kind, str, bool]]
TRACKING_FAULTS: Faults = [
    (Kind.RESET, "GET|POST", True),
    (Kind.BLACK_HOLE, "runs/create", True),
    (Kind.CUT, "runs/create", False),
    (Kind.CUT, "POST .*/logged-models$", False),
    (Kind.BLACK_HOLE, "PUT .*/mlflow-artifacts/", True),
    (Kind.BUSY, "PATCH .*/logged-models/.*/tags", True),
    (Kind.ERROR, "model-versions/create", True),
    (Kind.CUT, "model-versions/create", False),
    (Kind.BLACK_HOLE, "registered-models/alias", True),
]
"""How the server fails, at which call, and whether permanently. Each run has the next fault, and comes further."""

CATALOG_FAULTS: Faults = [
    (Kind.RESET, "GET", True),
    (Kind.LOST, "POST .*/schemas", False),
    (Kind.BLACK_HOLE, "POST .*/models$", True),
    (Kind.LOST, "POST .*/models$", False),
    (Kind.LOST, "POST .*/tables$", False),
    (Kind.BUSY, "POST .*/models/versions", True),
    (Kind.CUT, "POST .*/models/versions", False),
    (Kind.ERROR, "PATCH .*/finalize", True),
]


def duplicates_and_losses(home: ProjectPaths) -> list[str]:
    """What exists twice, is incomplete or missing, or was not ended."""
    resources = profile_resources(home)
    config, catalog, client = resources["project"].config, resources["unity_catalog"], resources["tracking"].client()
    names, pairs = (config.experiment_name_basic, config.experiment_name_custom), catalog.pairs(config)
    experiments = [client.get_experiment_by_name(name).experiment_id for name in names]
    models = [model.name for model in client.search_logged_models(experiments) if CACHE_KEY in model.tags]
    versions = [len(catalog.registry().search_versions(name)) for name in (pairs.basic_name, pairs.custom_name)]
    runs = client.search_runs(experiments)
    by_origin = {(run.info.experiment_id, run.data.tags["dagster_run_id"]) for run in runs}
    wrong = {
        "fits": len(list(home.pipelines.glob("*"))) != 2,  # the pipeline, and what is known about it
        f"whole models {models}": len(models) != 2 or len(set(models)) != 2,
        f"versions {versions}": versions != [1, 1],
        f"alias {pairs.current()}": pairs.current() is None or pairs.reconcile_aliases() is not None,
        "runs left running": any(run.info.status == "RUNNING" for run in runs),
        "two MLflow runs for one Dagster run": len(by_origin) != len(runs),
    }
    return [what for what, is_wrong in wrong.items() if is_wrong]


@pytest.fixture(scope="module")
def tracking_proxy(tracking_server: TrackingServer) -> Iterator[FaultProxy]:
    with FaultProxy(tracking_server.url) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def project(tmp_path: Path, small_project: Path, home: ProjectPaths, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the test's own names, so that the servers serve it as if it were alone."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", str(TRIES - 1))
    monkeypatch.delenv("MARVEL_UC_URL", raising=False)
    own = tmp_path.name.replace("-", "_")
    content = yaml.safe_load(small_project.read_text())
    content |= {name: f"/{own}/{name}" for name in ("experiment_name_basic", "experiment_name_custom")}
    content["dev"]["catalog_name"] = own
    made = home.root / "project.yml"
    made.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("MARVEL_CONFIG", str(made))
    return made


@pytest.fixture
def tracking(tracking_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> FaultProxy:
    """The server of the test's runs, models, versions and artifacts."""
    tracking_proxy.back()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_proxy.url)
    return tracking_proxy


@pytest.fixture
def catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FaultProxy]:
    """The server of the test's versions."""
    with UnityCatalogServer() as server, FaultProxy(server.url) as proxy:
        monkeypatch.setenv("MARVEL_UC_URL", proxy.url)
        monkeypatch.setenv("MARVEL_UC_STORAGE_ROOT", (tmp_path / "catalog").as_uri())
        yield proxy


KINDS = (Kind.RESET, Kind.BUSY, Kind.SLOW, Kind.ERROR)


@pytest.mark.parametrize("kinds", [KINDS, *((kind,) for kind in KINDS if amount(0, 1))], ids=", ".join)
def test_a_run_survives_one_failure_of_every_call(kinds: tuple[Kind, ...], home: ProjectPaths, tracking: FaultProxy):
    # given
    tracking.fail_each_once(*kinds)

    # when
    succeeded(run_graph(home, "generated"))

    # then
    assert len(tracking.failed) > 30
    assert duplicates_and_losses(home) == []


@pytest.mark.slow(reason="the graph is run once for each failure")
def test_nothing_is_made_twice_where_the_answer_to_every_call_was_lost_once(home: ProjectPaths, tracking: FaultProxy):
    # given
    tracking.fail_each_once(Kind.LOST)

    # when: MLflow can't repeat every call, so that a run may fail
    runs = (run_graph(home, "generated") for _ in range(5))
    assert any(run.success for run in runs)

    # then
    assert len(tracking.failed) > 30
    assert duplicates_and_losses(home) == []


@pytest.mark.slow(reason="the graph is run once for each failure")
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(("server", "faults"), [("tracking", TRACKING_FAULTS), ("catalog", CATALOG_FAULTS)])
def test_work_that_was_finished_before_a_server_failed_is_found_by_the_next_run(
    home: ProjectPaths, request: pytest.FixtureRequest, server: str, faults: Faults
):
    # given
    proxy: FaultProxy = request.getfixturevalue(server)
    for kind, pattern, lasting in faults:
        proxy.fail(kind, pattern, lasting=lasting)

        # when
        result = run_graph(home, "generated")

        # then
        assert proxy.failed, f"no call matched {pattern}"
        [failure] = [event for event in result.all_events if event.is_step_failure]
        reason = cause_of(failure.step_failure_data.error)
        assert proxy.url in reason
        if server == "tracking":
            assert "Run again" in reason or "Is it running" in reason
            assert len(proxy.failed) / TRIES * SECONDS_A_CALL < SECONDS_IN_ALL, proxy.failed

    # and when
    proxy.back()
    succeeded(run_graph(home, "generated"))

    # then
    assert duplicates_and_losses(home) == []


@pytest.mark.slow(reason="the graph is run once for each failure")
def test_a_server_that_fails_while_the_champion_is_loaded_decides_nothing_about_it(
    home: ProjectPaths, project: Path, tracking: FaultProxy
):
    # given
    succeeded(run_graph(home, "generated"))
    project.write_text(project.read_text().replace("seed: 7", "seed: 8"))
    tracking.fail(Kind.CUT, "GET .*/artifacts/model.skops")

    # when
    result = run_graph(home, "generated", select="*basic_model_version")

    # then: the run failed, not the champion
    assert not result.success

    # and when the server is back, the challenger is compared with it
    tracking.back()
    checks = run_graph(home, "generated").get_asset_check_evaluations()
    assert [check.metadata["champion"].value for check in checks if check.check_name == GATE] == ["1"]


def test_a_command_ends_with_one_line_that_names_the_server_that_is_gone(
    tracking: FaultProxy, marvel_here: Callable[..., CompletedProcess[str]]
):
    # given
    tracking.fail(Kind.BLACK_HOLE, lasting=True)

    # when
    done = marvel_here("serve", "--port", str(free_port()))

    # then
    [line] = done.stderr.splitlines()
    assert tracking.url in line
    assert "Run again" in line
