"""One retraining at a time, however it was started.

Dagster's pool serialises queued runs; `dagster asset materialize` and `marvel run` bypass the queue. So a run also
holds a lock from its first asset to its end.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import filelock
from pydantic import Field, PrivateAttr

POOL = "retraining"  # the pool of the assets that only one run may materialise at a time


class RetrainingLock(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Lets one run at a time write tables, models and versions; others wait."""

    locks: str = Field(description="Folder of the lock files.")
    wait_seconds: int = Field(default=3600, ge=0, description="How long a run waits for another before it fails.")

    _held: filelock.BaseFileLock | None = PrivateAttr(default=None)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Release the lock when the run (or its step's process) ends."""
        if self._held is not None:
            self._held.release()

    def acquire(self, context: dg.AssetExecutionContext) -> None:
        """Wait while another run is retraining; hold the lock until this run ends. A Failure names a run that hangs."""
        if self._held is not None:
            return
        holder = Path(self.locks, "retraining.run")
        holder.parent.mkdir(parents=True, exist_ok=True)
        holder.touch()
        lock = filelock.FileLock(holder.with_suffix(".lock"), timeout=self.wait_seconds)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            context.log.info(f"Waiting for another run, since retrainings don't overlap: {holder.read_text()}")
            try:
                lock.acquire()
            except filelock.Timeout:
                raise dg.Failure(
                    f"{holder.read_text()} is still retraining after {self.wait_seconds:,} seconds of waiting; "
                    "retrainings don't overlap. If it hangs, terminate it on its page, or end its process; then run "
                    "again."
                ) from None
        self._held = lock
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        holder.write_text(f"run {context.run.run_id[:8]} (process {os.getpid()}, since {now})")
