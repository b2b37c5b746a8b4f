"""Runs that can be told from dead ones.

Dagster notes that a run has started, and waits for its process to note the end. A process that was killed never does:
its run would seem to go on for ever, and would keep its place in the pool, so that no queued retraining could start.
So every run gives a sign of life; the next run, and the daemon, end those that have stopped giving one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.paths import ProjectPaths
from marvel_assets.utils.files import remove_abandoned_folders
from marvel_assets.utils.run_heartbeat import forget, giving_a_sign, goes_on, known_runs

KILLED = (
    "The process of this run is gone: it was killed, or its machine stopped. What it had committed is whole; run "
    "again, and only what is missing is made."
)


class WatchedExecutor(dg.Executor):
    """Runs the steps in this process, after it has cleared up after the dead, and gives a sign of life meanwhile."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:  # noqa: ANN401 - not public
        """Execute the plan as the inner executor does."""
        home, run_id = ProjectPaths.from_environment(), plan_context.run_id
        with giving_a_sign(home.locks, run_id):
            if _keeps_its_runs_in(home, plan_context.instance):
                end_runs_of_the_dead(plan_context.instance, home.locks)
            for folder in home.written_to_by_runs:
                remove_abandoned_folders(folder)
            yield from self._inner.execute(plan_context, execution_plan)

    @property
    def retries(self) -> Any:  # noqa: ANN401 - not public
        """As the inner executor's."""
        return self._inner.retries

    @property
    def step_dependency_config(self) -> Any:  # noqa: ANN401 - not public
        """As the inner executor's."""
        return self._inner.step_dependency_config


@dg.executor(name="watched_in_process", config_schema=dg.in_process_executor.config_schema.as_field())
def watched_in_process_executor(context: dg.InitExecutorContext) -> WatchedExecutor:
    """One process a run: what is heavy is imported once, and a Spark session would be started once."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None, "Dagster's own executor can be created"  # noqa: S101
    return WatchedExecutor(create(context))


def end_runs_of_the_dead(instance: dg.DagsterInstance, locks: Path) -> None:
    """Note of every run whose process is gone that it failed."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        # It may have ended since the search.
        if not is_alive(instance, locks, run.run_id) and _has_started(instance, run.run_id):
            instance.report_run_failed(run, KILLED)
    for run_id in known_runs(locks):
        if goes_on(locks, run_id) is False and not _has_started(instance, run_id):
            forget(locks, run_id)


def is_alive(instance: dg.DagsterInstance, locks: Path, run_id: str) -> bool:
    """Whether the process of a started run goes on; it may not have come to give a sign yet."""
    sign = goes_on(locks, run_id)
    return _process_exists(instance, run_id) if sign is None else sign


def _process_exists(instance: dg.DagsterInstance, run_id: str) -> bool:
    import psutil

    started = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_START).records
    events = [record.event_log_entry.dagster_event for record in started]
    return any(event is not None and event.pid is not None and psutil.pid_exists(event.pid) for event in events)


def _has_started(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status == dg.DagsterRunStatus.STARTED


def _keeps_its_runs_in(home: ProjectPaths, instance: dg.DagsterInstance) -> bool:
    """Whether all runs that the instance knows are this machine's: of others' nobody here can tell."""
    return instance.is_persistent and Path(instance.root_directory).resolve() == home.dagster
