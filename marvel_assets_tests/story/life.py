"""A home under `marvel ui`: its pages, its daemon, its runs, and a run that can be killed on order."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster_graphql import DagsterGraphQLClient

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.ingestion.sensors import UNFINISHED_STATUSES
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.registry.model_pairs import ALIAS, ModelPairs
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.homes import copy_of
from marvel_assets_tests.pages import Pages, served
from marvel_assets_tests.planted import spoilt_characters

SECONDS = 700

KILL_ONCE_AFTER_AN_ALIAS = """
import os, signal
from pathlib import Path
from marvel_assets.registry.mlflow import MlflowRegistry

moved = MlflowRegistry.set_alias

def set_alias(self, name, alias, version):
    moved(self, name, alias, version)
    order = Path(os.environ["KILL_ORDER"])
    if order.exists():
        order.unlink()
        os.kill(os.getpid(), signal.SIGKILL)

MlflowRegistry.set_alias = set_alias
"""
"""What the server's processes load when they start: a `kill -9` on order, between the two alias moves."""


@dataclass
class Life:
    """What is running, and what it has led to so far."""

    pages: Pages
    home: ProjectPaths
    config: ProjectConfig
    source: Path
    kill_order: Path
    instance: dg.DagsterInstance

    def deliver(self, share: float) -> None:
        """Put another file in the source's place, with this share of wrong labels among the training rows."""
        spoilt_characters(self.source.parent, share).replace(self.source)

    def under_the_aliases(self) -> tuple[int | None, int | None]:
        """The basic and the custom version, each by its own alias."""
        catalog = MlflowRegistry(connect(self.home.mlflow_uri, self.home.locks), self.home.locks)
        pairs = ModelPairs(catalog, self.config, self.home.locks)
        found = [catalog.get_version_by_alias(name, ALIAS) for name in (pairs.basic_name, pairs.custom_name)]
        return tuple(None if version is None else version.version for version in found)

    def start_job(self, name: str, op: str, **config: str) -> None:
        """Launch a job, as the Launchpad does."""
        host, _, port = self.pages.dagster.removeprefix("http://").partition(":")
        settings = {"ops": {op: {"config": config}}}
        client = DagsterGraphQLClient(host, port_number=int(port))
        client.submit_job_execution(name, "marvel_assets", "__repository__", run_config=settings)

    def succeeded(self) -> int:
        """How many retrainings of the sensor have ended well."""
        return len(self.runs(dg.DagsterRunStatus.SUCCESS))

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        """The runs of the retraining that the sensor asked for, the newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name="retrain", statuses=list(statuses))))

    def wait_for_runs(self, succeeded: int) -> None:
        """Until so many retrainings have ended well, and none is going."""
        wait_until(
            lambda: self.succeeded() >= succeeded and not self.runs(*UNFINISHED_STATUSES),
            lambda: f"{succeeded} runs that succeed; there are {[run.status for run in self.runs()]}",
        )

    def last_skip(self) -> str:
        """Why the sensor's last tick asked for no run."""
        ticks = self._finished_ticks()
        return ticks[0].tick_data.skip_reason or "" if ticks else ""

    def last_tick(self) -> float:
        """When the sensor's last tick began."""
        return self._finished_ticks()[0].timestamp

    def _finished_ticks(self) -> list[InstigatorTick]:
        states = [state for state in self.instance.all_instigator_state() if state.name == "source_change_sensor"]
        found = [self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2) for state in states]
        return [tick for ticks in found for tick in ticks if tick.status != TickStatus.STARTED]


def wait_until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Look every second."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SECONDS} s for {what()}"
        time.sleep(1)


@contextmanager
def running_ui(
    folder: Path, empty_home: ProjectPaths, project: Path, share: float, environment: dict[str, str]
) -> Iterator[Life]:
    """A fresh home whose source has this share of wrong labels, and `marvel ui` over it."""
    (folder / "startup").mkdir()
    (folder / "startup" / "sitecustomize.py").write_text(KILL_ONCE_AFTER_AN_ALIAS)
    home, source, kill_order = copy_of(empty_home, folder / "home"), folder / "characters.csv", folder / "kill"
    spoilt_characters(folder, share).replace(source)
    settings = {
        "MARVEL_CONFIG": str(project),
        "MARVEL_SOURCE": str(source),
        "KILL_ORDER": str(kill_order),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder / "startup"), os.environ.get("PYTHONPATH")])),
        "DAGSTER_HOME": str(home.dagster),
        **environment,
    }
    with served(home, **settings) as pages, dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        yield Life(pages, home, ProjectConfig.from_yaml(project), source, kill_order, instance)
