"""How Dagster's daemon starts runs, and finds out that one is dead. Named in ``config/dagster.yaml``."""

from __future__ import annotations

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from marvel_assets.defs.executor import KILLED, is_alive
from marvel_assets.paths import ProjectPaths


class WatchingRunLauncher(dg.DefaultRunLauncher):
    """Dagster's own launcher, whose daemon would not see that a run's process was killed, or the whole machine."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Let the daemon's monitoring ask for each run that has started."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Look for its signs of life, whether this launcher started it or a person at the command line."""
        if is_alive(self._instance, ProjectPaths.from_environment().locks, run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, KILLED)
