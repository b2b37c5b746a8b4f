"""The life of a model, against a real `dagster dev`: webserver, daemon, sensors, and a run that is killed."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster_graphql import DagsterGraphQLClient

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.ingestion.sensors import IN_PROGRESS_STATUSES
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.registry.model_pairs import ALIAS, ModelPairs
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.homes import Templates, copy_of
from marvel_assets_tests.pages import Pages, served
from marvel_assets_tests.planted import spoilt_characters

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow(reason="Dagster's daemon runs the graph three times"),
    pytest.mark.timeout(2400),
]

SECONDS = 700
FAIR, BETTER = 0.1, 0.0
"""Shares of training rows with the wrong label."""

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
class Story:
    """What is running, and what it has led to so far."""

    pages: Pages
    home: ProjectPaths
    config: ProjectConfig
    source: Path
    kill_order: Path
    instance: dg.DagsterInstance

    def deliver(self, share: float) -> None:
        """Put another file in the source's place."""
        spoilt_characters(self.source.parent, share).replace(self.source)

    def under_the_aliases(self) -> tuple[int | None, int | None]:
        """The basic and the custom version, each by its own alias."""
        catalog = MlflowRegistry(connect(f"sqlite:///{self.home.mlflow_database}", self.home.locks), self.home.locks)
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
        """How many retrainings have ended well."""
        return len(self.runs(dg.DagsterRunStatus.SUCCESS))

    def runs(self, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
        """The runs of the retraining, the newest first."""
        return list(self.instance.get_runs(dg.RunsFilter(job_name="retrain", statuses=list(statuses))))

    def wait_for_runs(self, succeeded: int) -> None:
        """Until so many retrainings have ended well, and none is going."""
        wait_until(
            lambda: self.succeeded() >= succeeded and not self.runs(*IN_PROGRESS_STATUSES),
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
        [state] = [state for state in self.instance.all_instigator_state() if state.name == "source_change_sensor"]
        ticks = self.instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=2)
        return [tick for tick in ticks if tick.status != TickStatus.STARTED]


def wait_until(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {SECONDS} s for {what()}"
        time.sleep(1)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, small_project: Path, templates: Templates) -> Iterator[Story]:
    """A home in which version 1 is served, `marvel ui`, and the sensor of its source on."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "startup").mkdir()
    (folder / "startup" / "sitecustomize.py").write_text(KILL_ONCE_AFTER_AN_ALIAS)
    home, source, kill_order = (
        copy_of(templates.after(FAIR), folder / "home"),
        folder / "characters.csv",
        folder / "kill",
    )
    shutil.copyfile(templates.source(FAIR), source)
    settings = {
        "MARVEL_CONFIG": str(small_project),
        "MARVEL_SOURCE": str(source),
        "KILL_ORDER": str(kill_order),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(folder / "startup"), os.environ.get("PYTHONPATH")])),
        "DAGSTER_HOME": str(home.dagster),
    }
    with (
        served(home, **settings) as pages,
        dg.DagsterInstance.from_config(str(home.dagster)) as instance,
    ):
        pages.start_sensor("source_change_sensor")
        yield Story(pages, home, ProjectConfig.from_yaml(small_project), source, kill_order, instance)


def test_1_the_same_data_in_another_file_makes_nothing(story: Story):
    # given
    [first] = story.runs()
    pipelines = set(story.home.pipelines.iterdir())

    # when: from outside a new file may be new data, so one run reads it
    wait_until(lambda: "is still the content of version 0" in story.last_skip(), story.last_skip)

    # then
    assert [run.status for run in story.runs() if run.run_id != first.run_id] == [dg.DagsterRunStatus.SUCCESS]
    assert set(story.home.pipelines.iterdir()) == pipelines
    assert story.under_the_aliases() == (1, 1)


def test_2_a_kill_between_the_two_alias_moves_is_healed_by_the_run_that_follows(story: Story):
    # given
    succeeded = story.succeeded()
    story.kill_order.touch()

    # when
    story.deliver(BETTER)
    wait_until(lambda: not story.kill_order.exists(), lambda: "the kill")
    assert story.under_the_aliases() == (1, 2)
    story.wait_for_runs(succeeded + 1)

    # then: the daemon saw that the worker was gone, and tried the run again
    assert story.under_the_aliases() == (2, 2)
    [killed] = story.runs(dg.DagsterRunStatus.FAILURE)
    assert story.runs()[0].root_run_id == killed.run_id


def test_3_a_rollback_puts_version_1_back(story: Story):
    # given
    before = [run.run_id for run in story.runs()]

    # when
    story.start_job("rollback", "rollback_models", reason="Uatu is not dead", actor="Ororo")
    wait_until(lambda: story.under_the_aliases() == (1, 1), lambda: f"(1, 1), found {story.under_the_aliases()}")

    # then: the same data does not undo it
    rolled_back = time.time()
    wait_until(lambda: story.last_tick() > rolled_back, lambda: "a tick of the sensor")
    assert "is still the content of version" in story.last_skip()
    assert [run.run_id for run in story.runs()] == before
    assert story.under_the_aliases() == (1, 1)
