"""Detects runs whose process died.

A process that is killed never reports the end of its run to Dagster: the run would stay STARTED and keep its slot in
the pool, so that no queued retraining could start. So each run has a heartbeat, and the next run and the daemon fail
those whose heartbeat has stopped. A run that hangs is ended by ``max_runtime_seconds`` in ``dagster.yaml``.
"""

import ctypes
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from marvel_assets.defs.resources import configured_home
from marvel_assets.paths import ProjectPaths
from marvel_assets.utils.files import remove_abandoned_folders
from marvel_assets.utils.locks import heartbeat, is_running, remove_stale_heartbeats

KILLED = (
    "The process of this run is gone: it was killed, or its machine stopped. Everything that it committed is complete; "
    "run again, and only the rest is made."
)


class _MonitoredExecutor(InProcessExecutor):
    """Runs the steps in this process with a heartbeat, after cleaning up after dead runs."""

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:  # noqa: ANN401 - not public
        home, instance = configured_home(ProjectPaths.from_environment()), plan_context.instance
        with heartbeat(home.locks, plan_context.run_id):
            # Not for an instance that other machines share: their heartbeats can't be seen from here.
            if instance.is_persistent and Path(instance.root_directory).resolve() == home.dagster:
                fail_orphaned_runs(instance, home.locks)
            for folder in (home.scratch, home.pipelines, home.wheels, home.references, home.provenance):
                remove_abandoned_folders(folder)
            for event in super().execute(plan_context, execution_plan):
                yield event
                if event.is_step_success:
                    with suppress(AttributeError):  # only glibc returns freed memory before more rows are read
                        ctypes.CDLL(None).malloc_trim(0)


@dg.executor(name="monitored_in_process")
def monitored_in_process_executor(_: dg.InitExecutorContext) -> _MonitoredExecutor:
    """One process per run: heavy imports and a Spark session start only once."""
    return _MonitoredExecutor(RetryMode.ENABLED)


class MonitoredRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher, with which the daemon also detects killed runs; see ``dagster.yaml``."""

    supports_check_run_worker_health = True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Check the run's heartbeat, whether this launcher started the run or the command line did."""
        if _is_alive(self._instance, ProjectPaths.from_environment().locks, run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, KILLED)


def fail_orphaned_runs(instance: dg.DagsterInstance, locks: Path) -> None:
    """Report every run whose process is gone as failed."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        is_alive, now = _is_alive(instance, locks, run.run_id), instance.get_run_by_id(run.run_id)
        # It may have ended in the meantime.
        if not is_alive and now and now.status == run.status:
            instance.report_run_failed(run, KILLED)
    remove_stale_heartbeats(locks)


def _is_alive(instance: dg.DagsterInstance, locks: Path, run_id: str) -> bool:
    """Whether the process of a started run is alive; if it has no heartbeat yet, by the process id in Dagster's log."""
    import psutil

    if (is_alive := is_running(locks, run_id)) is not None:
        return is_alive
    started = instance.all_logs(run_id, of_type=dg.DagsterEventType.RUN_START)
    return any(psutil.pid_exists(entry.get_dagster_event().pid or -1) for entry in started)
