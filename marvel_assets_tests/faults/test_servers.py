"""The tracking server or the catalog fails, at every call of a run in turn, in every way that a server can fail.

A run in this process talks to real servers through a proxy that fails the n-th call, or all from the n-th on. When the
server is back the same run is made again, and must find all that was done.
"""

import itertools
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import pytest
import yaml

from marvel_assets import cli
from marvel_assets.config import ProjectConfig
from marvel_assets.defs.monitoring.causes import cause_of
from marvel_assets.defs.registration.assets import GATE
from marvel_assets.defs.registration.sensors import aliases_agree
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking import patience
from marvel_assets.tracking.mlflow_resource import CACHE_KEY
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import BASIC, marvel
from marvel_assets_tests.faults.conftest import CALLS, LOST
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import run_graph
from marvel_assets_tests.pages import free_port
from marvel_assets_tests.servers.fault_proxy import Call, FaultProxy, Kind
from marvel_assets_tests.servers.mlflow_server import mlflow_server
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

LOG = logging.getLogger(__name__)
SEED = 20_240
SECONDS_IN_ALL = 30
TIMEOUT, PATIENCE = 3, 6
"""MLflow's own setting, and the patience that follows from it: what never answers costs six seconds, not twelve."""

SECONDS_OF_ITS_OWN = 18
"""What a run does besides waiting for the server, once it has failed: 30 s in all, of which 12 are patience."""

TRACKING_PHASES = {
    "look": r"GET /health|experiments/|runs/search|logged-models/search|runs/get$",
    "open run": r"POST .*/runs/(create|log-batch)",
    "log model": r"POST .*/logged-models$|/runs/(outputs|log-inputs)|PATCH .*/logged-models/\S+$(?<!tags)",
    "put artifacts": r"PUT .*/mlflow-artifacts/",
    "get artifacts": r"GET .*/mlflow-artifacts/",
    "tags": r"PATCH .*/logged-models/.*/tags",
    "register": r"/(registered-models|model-versions)/(create|update|get|search)",
    "alias": r"/registered-models/alias",
    "end": r"POST .*/runs/update",
}
KINDS = [kind for kind in Kind if "Retry-After" not in kind or amount(0, 1)]
"""In the sample one for each phase of a run: what a Retry-After leads to is shown call by call in test_patient_http."""

CATALOG_PHASES = {
    "schema": r"/(catalogs|schemas)",
    "lock": r"PATCH .*/models/|POST .*/models$",
    "register": r"POST .*/models/versions|/finalize|/temporary-model-version-credentials",
    "look": r"GET .*/models",
}


@dataclass(frozen=True)
class Kept:
    """What a run has done so far, as it is stored: fits by file, whole models by cache key, the versions' model ids."""

    fits: dict[str, int]
    models: dict[str, list[str]]
    versions: dict[str, list[str]]


@dataclass(frozen=True)
class Case:
    """A home and a project of their own, on servers that all cases share."""

    home: ProjectPaths
    config: ProjectConfig

    def kept(self) -> Kept:
        """Read where it is stored, not what was said of it."""
        models: dict[str, list[str]] = {}
        for model in self._client.search_logged_models(self._experiments()):
            if cache_key := model.tags.get(CACHE_KEY):
                models.setdefault(cache_key, []).append(model.model_id)
        catalog, pairs = self._catalog()
        versions = {name: [made.model_id for made in catalog.versions(name)] for name in self._names(pairs)}
        return Kept({file.name: file.stat().st_mtime_ns for file in self.home.pipelines.glob("*")}, models, versions)

    def lost_since(self, before: Kept) -> list[str]:
        """What was done before and is not there any more, and what is there twice, half or without its end."""
        after, (_, pairs) = self.kept(), self._catalog()
        pair, running = pairs.current(), "attributes.status = 'RUNNING'"
        wrong = {
            "fitted again": [name for name in before.fits if after.fits.get(name) != before.fits[name]],
            "not one fit": list(after.fits) * (len(after.fits) != 2),  # the pipeline, and what is known about it
            "logged again": [
                cache_key for cache_key in before.models if after.models.get(cache_key) != before.models[cache_key]
            ],
            "not two whole models": list(after.models.items()) * (sorted(map(len, after.models.values())) != [1, 1]),
            "not one version": [(name, ids) for name, ids in after.versions.items() if len(ids) != 1],
            "aliases": [] if pair is not None and pairs.is_whole() else [str(pair)],
            "left running": [run.info.run_id for run in self._client.search_runs(self._experiments(), running)],
        }
        return [f"{what}: {thing}" for what, things in wrong.items() for thing in things]

    @property
    def _client(self) -> mlflow.MlflowClient:
        tracking = profile_resources(self.home)["tracking"]
        return connect(tracking.tracking_uri, self.home.locks, tracking.registry_uri)

    def _experiments(self) -> list[str]:
        names = (self.config.experiment_name_basic, self.config.experiment_name_custom)
        return [found.experiment_id for name in names if (found := self._client.get_experiment_by_name(name))]

    def _catalog(self) -> tuple[Any, Any]:
        resource = profile_resources(self.home)["unity_catalog"]
        return resource.catalog(), resource.pairs(self.config)

    @staticmethod
    def _names(pairs: Any) -> tuple[str, str]:
        return pairs.basic_name, pairs.custom_name


Cases = Callable[[], Case]


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultProxy]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as url, FaultProxy(url) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def catalog() -> Iterator[FaultProxy]:
    with UnityCatalogServer() as server, FaultProxy(server.url) as proxy:
        yield proxy


@pytest.fixture
def cases(tmp_path: Path, small_project: Path, mlflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> Cases:
    """Makes a case: the names in its project are its own, so that the servers serve it as if it were alone."""
    numbers = itertools.count()
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(TIMEOUT))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    for name in ("MARVEL_SOURCE", "MARVEL_ENV"):
        monkeypatch.delenv(name, raising=False)

    def make() -> Case:
        home = ProjectPaths(tmp_path / f"home{next(numbers)}")
        home.prepare()
        home.mlflow_database.parent.mkdir(parents=True, exist_ok=True)
        home.mlflow_database.write_bytes(mlflow_database.read_bytes())
        own = f"{tmp_path.name.replace('-', '_')}_{home.root.name}"
        content = yaml.safe_load(small_project.read_text())
        content |= {name: f"/{own}/{name}" for name in ("experiment_name_basic", "experiment_name_custom")}
        content["dev"]["catalog_name"] = own
        project = home.root / "project.yml"
        project.write_text(yaml.safe_dump(content))
        monkeypatch.setenv("MARVEL_HOME", str(home.root))
        monkeypatch.setenv("MARVEL_CONFIG", str(project))
        monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
        return Case(home, ProjectConfig.from_yaml(project))

    return make


@pytest.fixture
def on_tracking(cases: Cases, tracking: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Cases:
    """Cases whose runs, models, versions and artifacts are on the tracking server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.url)
    monkeypatch.delenv("MARVEL_UC_URL", raising=False)

    def make() -> Case:
        _bring_back(tracking)
        case = cases()
        # An experiment that the server's owner has made keeps its artifacts where the server has them kept.
        for name in (case.config.experiment_name_basic, case.config.experiment_name_custom):
            connect(tracking.url, case.home.locks).create_experiment(name)
        return case

    return make


@pytest.fixture
def on_catalog(cases: Cases, catalog: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cases:
    """Cases whose versions are on the Unity Catalog server."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MARVEL_UC_URL", catalog.url)
    monkeypatch.setenv("MARVEL_UC_STORAGE_ROOT", (tmp_path / "catalog").as_uri())

    def make() -> Case:
        _bring_back(catalog)
        return cases()

    return make


def _bring_back(proxy: FaultProxy) -> None:
    """The server is there again, and this process, which stands for many, knows it as little as a new one would."""
    proxy.back()
    patience.begin_anew()


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, list[Call]]:
    """The calls of a run that nothing fails, by proxy; made at the first use."""
    return {}


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_done_before_the_tracking_server_failed_is_found_by_the_next_run(
    kind: Kind,
    on_tracking: Cases,
    tracking: FaultProxy,
    undisturbed: dict[str, list[Call]],
    record_property: Callable[[str, int], None],
):
    calls = undisturbed.get("tracking") or undisturbed.setdefault("tracking", _calls_of_a_run(on_tracking, tracking))
    _fail_in_turn(kind, _chosen(kind, calls, TRACKING_PHASES), on_tracking, tracking, record_property)


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("kind", KINDS[amount(2, 0) :: amount(5, 1)])
def test_what_was_done_before_the_catalog_failed_is_found_by_the_next_run(
    kind: Kind,
    on_catalog: Cases,
    catalog: FaultProxy,
    undisturbed: dict[str, list[Call]],
    record_property: Callable[[str, int], None],
):
    calls = undisturbed.get("catalog") or undisturbed.setdefault("catalog", _calls_of_a_run(on_catalog, catalog))
    _fail_in_turn(kind, _chosen(kind, calls, CATALOG_PHASES), on_catalog, catalog, record_property)


def _calls_of_a_run(cases: Cases, proxy: FaultProxy) -> list[Call]:
    case = cases()
    proxy.back()
    assert run_graph(case.home, "generated").success
    return list(proxy.calls)


def _chosen(kind: Kind, calls: list[Call], phases: dict[str, str]) -> list[int]:
    """Numbers of calls: in the sample one, so that all kinds together meet all phases; else one of each phase, and this
    kind's share of all calls, so that all kinds together meet each call."""
    chance, place = random.Random(f"{SEED} {kind}"), KINDS.index(kind)  # noqa: S311
    of_phases = [
        chance.choice([number for number, call in enumerate(calls, 1) if re.search(pattern, call.type)])
        for pattern in phases.values()
    ]
    everything = sorted({*of_phases, *range(1 + place, len(calls) + 1, len(KINDS))})
    return [of_phases[place % len(of_phases)]] if amount(1, 0) else everything


def _fail_in_turn(
    kind: Kind, numbers: list[int], cases: Cases, proxy: FaultProxy, record_property: Callable[[str, int], None]
) -> None:
    lost: list[str] = []
    for place, number in enumerate(numbers):
        # given
        case = cases()
        lasts = not kind.is_survived and (place + number) % 2 == 0
        proxy.fail(kind, number, lasting=lasts)

        # when
        result = run_graph(case.home, "generated")

        # then
        ended, told = time.monotonic(), f"{kind} at call {number}, {'lasting' if lasts else 'once'}"
        assert proxy.failed, f"{told}: the run made only {len(proxy.calls)} calls"
        seconds, failed = ended - (proxy.failed_at or ended), proxy.failed[0]
        record_property(CALLS, len(proxy.failed))
        failures = [cause_of(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
        LOG.info(f"{told} ({failed.type}): {'ended well' if result.success else failures} after {seconds:.1f} s")
        assert result.success or failures
        for reason in failures:
            assert proxy.url in reason, f"{told} ({failed.type}): {reason}"
        assert result.success or seconds < PATIENCE + SECONDS_OF_ITS_OWN, f"{told} ({failed.type}): {seconds:.0f} s"

        # and when the server is back
        _bring_back(proxy)
        before = case.kept()
        assert run_graph(case.home, "generated").success, told
        lost += [f"{told} ({failed.type}): {what}" for what in case.lost_since(before)]
    record_property(LOST, len(lost))
    assert lost == []


def test_a_whole_run_is_over_in_thirty_seconds_and_one_line_names_the_server_that_died(
    on_tracking: Cases,
    tracking: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, int], None],
):
    # given
    case = on_tracking()
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    tracking.fail(Kind.BLACK_HOLE, 40, lasting=True)

    # when
    done = marvel("run", MLFLOW_TRACKING_URI=tracking.url)

    # then
    seconds = time.monotonic() - (tracking.failed_at or 0)
    record_property(CALLS, len(tracking.failed))
    LOG.info(f"over after {seconds:.1f} s: {done.stdout}")
    assert done.returncode != 0
    assert seconds < SECONDS_IN_ALL
    [told] = [line for line in done.stdout.splitlines() if "failed:" in line]
    assert tracking.url in told
    assert "Traceback" not in done.stdout

    # and when the server is back
    _bring_back(tracking)
    before = case.kept()
    assert run_graph(case.home, "generated").success
    lost = case.lost_since(before)
    record_property(LOST, len(lost))
    assert lost == []


def test_a_server_that_fails_while_the_champion_is_loaded_decides_nothing_about_it(
    on_tracking: Cases, tracking: FaultProxy, record_property: Callable[[str, int], None]
):
    # given
    case = on_tracking()
    assert run_graph(case.home, "generated").success
    [champion] = case.kept().versions[case.config.qualified(BASIC)]
    project = case.home.root / "project.yml"
    project.write_text(project.read_text().replace("seed: 7", "seed: 8"))
    # the files are fetched to be looked through, then to be loaded
    tracking.fail(Kind.CUT, part=f"{champion}/artifacts/model.skops")

    # when
    result = run_graph(case.home, "generated")

    # then: it is the run that failed, not the champion
    record_property(CALLS, len(tracking.failed))
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert failure.step_key == "basic_model_version"
    assert f"{tracking.url} broke off its answer" in cause_of(failure.step_failure_data.error)

    # and when the server is back, the challenger is judged against it
    _bring_back(tracking)
    checks = run_graph(case.home, "generated").get_asset_check_evaluations()
    told = [check.metadata["champion"].value for check in checks if check.check_name == GATE]
    record_property(LOST, told != ["1"])
    assert told == ["1"]


@pytest.mark.parametrize("arguments", [["summary"], ["serve", "--port", str(free_port())]])
def test_a_command_ends_with_one_line_that_names_the_server_that_is_gone(
    arguments: list[str],
    on_tracking: Cases,
    tracking: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, int], None],
):
    # given
    case = on_tracking()
    assert run_graph(case.home, "generated").success
    tracking.fail(Kind.BLACK_HOLE, lasting=True)
    monkeypatch.setattr("sys.argv", ["marvel", *arguments])

    # when
    with pytest.raises(SystemExit) as ended:
        cli.main()

    # then
    record_property(CALLS, len(tracking.failed))
    assert time.monotonic() - (tracking.failed_at or 0) < PATIENCE + SECONDS_OF_ITS_OWN
    assert f"{tracking.url} can't be reached: no answer within {PATIENCE} s" in str(ended.value.code)
    assert len(str(ended.value.code).splitlines()) == 1


def test_the_sensor_of_the_aliases_tells_in_one_line_that_the_catalog_is_gone(
    on_catalog: Cases, catalog: FaultProxy, record_property: Callable[[str, int], None]
):
    # given
    case = on_catalog()
    catalog.fail(Kind.BLACK_HOLE, lasting=True)
    needed = ("project", "unity_catalog", "tracking", "references")
    resources = {name: profile_resources(case.home)[name] for name in needed}

    # when
    with dg.build_sensor_context(resources=resources) as context:
        told = aliases_agree(context)

    # then
    record_property(CALLS, len(catalog.failed))
    assert f"The Unity Catalog server at {catalog.url} can't be reached" in told.skip_reason.skip_message
