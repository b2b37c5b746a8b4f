"""Runs whose process was killed are distinguished from those that go on, by the next run and by the daemon."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.launcher import WorkerStatus

from marvel_assets.defs.retraining_lock import POOL
from marvel_assets.defs.run_monitoring import KILLED, fail_orphaned_runs
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.utils.locks import is_running
from marvel_assets_tests.commands import materialize, python, succeeded

pytestmark = pytest.mark.integration

SECONDS = 700
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

WAITS = """
import time
import dagster as dg
from marvel_assets.defs.run_monitoring import monitored_in_process_executor
from marvel_assets.paths import ProjectPaths

@dg.asset(pool="retraining")
def waiting() -> None:
    (ProjectPaths.from_environment().root / "waiting").touch()
    time.sleep(600)

defs = dg.Definitions(assets=[waiting], jobs=[dg.define_asset_job("hang")], executor=monitored_in_process_executor)
"""


@pytest.fixture
def waiting(home: ProjectPaths, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A run at the command line that has started, and goes on until it is killed."""
    module = tmp_path / "waits.py"
    module.write_text(WAITS)
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-f", str(module), "--select", "waiting"]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT, **QUIET)
    try:
        wait_until((home.root / "waiting").exists, process)
        yield process
    finally:
        kill(process)


@pytest.fixture
def instance(home: ProjectPaths) -> Iterator[dg.DagsterInstance]:  # noqa: ARG001
    with dg.DagsterInstance.get() as found:
        yield found


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for a condition that the process brings about."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        assert process.poll() is None, f"{process.args} ended"
        time.sleep(0.2)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def statuses(instance: dg.DagsterInstance) -> list[str]:
    return sorted(run.status.value for run in instance.get_runs())


def launch(module: Path, until: Callable[[], bool]) -> None:
    """Queue a run of the job ``hang``, and let a daemon go on until the condition holds."""
    succeeded(python("-m", "dagster", "job", "launch", "-f", str(module), "-j", "hang"))
    command = [sys.executable, "-m", "dagster._daemon", "run", "-f", str(module)]
    daemon = subprocess.Popen(command, cwd=PROJECT_ROOT, start_new_session=True, **QUIET)
    try:
        wait_until(until, daemon)
    finally:
        daemon.send_signal(signal.SIGINT)
        daemon.wait(SECONDS)
        # Its code server ends only after the runs that it started, and the daemon does not wait for it.
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)


def test_a_run_is_failed_with_the_reason_by_the_next_run_once_its_process_was_killed_and_not_before(
    home: ProjectPaths, waiting: subprocess.Popen[bytes], instance: dg.DagsterInstance
):
    # given
    launcher, [run] = instance.run_launcher, instance.get_runs()
    heartbeat = home.locks / "runs" / f"{run.run_id}.lock"
    before_first = heartbeat.with_suffix(".before")

    def health() -> list[WorkerStatus]:
        """Of the run as it is, and as it would be before its first heartbeat."""
        statuses = [launcher.check_run_worker_health(run).status]
        heartbeat.rename(before_first)
        statuses.append(launcher.check_run_worker_health(run).status)
        before_first.rename(heartbeat)
        return statuses

    # then
    assert health() == [WorkerStatus.RUNNING] * 2
    fail_orphaned_runs(instance, home.locks)
    assert statuses(instance) == ["STARTED"]

    # and when
    kill(waiting)

    # then
    assert health() == [WorkerStatus.FAILED] * 2

    # and when
    succeeded(materialize("inference_wheel"))

    # then
    assert statuses(instance) == ["FAILURE", "SUCCESS"]
    failures = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    assert [record.event_log_entry.dagster_event.message for record in failures] == [KILLED]
    assert is_running(home.locks, run.run_id) is None


@pytest.mark.slow(reason="the daemon, its code server and the run import Dagster")
def test_a_queued_retraining_starts_although_one_was_killed_and_is_ended_where_it_hangs(
    home: ProjectPaths, waiting: subprocess.Popen[bytes], instance: dg.DagsterInstance, tmp_path: Path
):
    # given: the killed run holds the one place in the pool, whose limit the first queued retraining has set
    instance.event_log_storage.initialize_concurrency_limit_to_default(POOL)
    [killed] = instance.get_runs()
    kill(waiting)

    # and: the daemon looks often, and does not begin a failed run again, which would be a further run here
    settings = yaml.safe_load((home.dagster / "dagster.yaml").read_text())
    settings["run_monitoring"] |= {"poll_interval_seconds": 1, "max_runtime_seconds": 2}
    settings["run_retries"]["enabled"] = False
    (home.dagster / "dagster.yaml").write_text(yaml.safe_dump(settings))

    # when
    launch(tmp_path / "waits.py", until=lambda: set(statuses(instance)) <= {"FAILURE", "CANCELED"})

    # then
    [hung] = [run for run in instance.get_runs() if run.run_id != killed.run_id]
    events = [record.event_log_entry.dagster_event for record in instance.get_records_for_run(hung.run_id).records]
    assert "Exceeded maximum runtime of 2 seconds." in [event.message for event in events if event]
    assert not is_running(home.locks, hung.run_id)
    assert instance.get_run_by_id(killed.run_id).status == dg.DagsterRunStatus.FAILURE
