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
from marvel_assets.defs.run_monitoring import KILLED, MonitoredRunLauncher, fail_orphaned_runs
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.utils.locks import is_running
from marvel_assets_tests.commands import materialize, python, succeeded
from marvel_assets_tests.defs.waiting_runs import mark, waiting_run

pytestmark = pytest.mark.integration

SECONDS = 700

WAITS = """
import dagster as dg
from marvel_assets.defs.run_monitoring import monitored_in_process_executor
from marvel_assets_tests.defs.waiting_runs import mark, wait_for

@dg.asset(pool="retraining")
def waiting() -> None:
    mark("waiting").touch()
    wait_for(mark("go"))

defs = dg.Definitions(assets=[waiting], jobs=[dg.define_asset_job("hang")], executor=monitored_in_process_executor)
"""


@pytest.fixture
def waiting(home: ProjectPaths, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:  # noqa: ARG001
    """A run at the command line that has started, and goes on until it is killed or let go."""
    module = tmp_path / "waits.py"
    module.write_text(WAITS)
    with waiting_run(module) as process:
        yield process


@pytest.fixture
def instance(home: ProjectPaths) -> Iterator[dg.DagsterInstance]:  # noqa: ARG001
    with dg.DagsterInstance.get() as found:
        yield found


def kill(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def statuses(instance: dg.DagsterInstance) -> list[str]:
    return sorted(run.status.value for run in instance.get_runs())


def heartbeat_of(home: ProjectPaths, run: dg.DagsterRun) -> Path:
    return home.locks / "runs" / f"{run.run_id}.lock"


def launch(module: Path, instance: dg.DagsterInstance, until: Callable[[], bool]) -> None:
    """Queue a run of the job ``hang``, and let a daemon go on until the condition holds."""
    succeeded(python("-m", "dagster", "job", "launch", "-f", str(module), "-j", "hang"))
    command = [sys.executable, "-m", "dagster._daemon", "run", "-f", str(module)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemon = subprocess.Popen(command, cwd=PROJECT_ROOT, start_new_session=True, **quiet)
    try:
        deadline = time.monotonic() + SECONDS
        while not until():
            assert time.monotonic() < deadline, statuses(instance)
            assert daemon.poll() is None, "the daemon ended"
            time.sleep(1)
    finally:
        daemon.send_signal(signal.SIGINT)
        daemon.wait(SECONDS)
        # Its code server ends only after the runs that it started, and the daemon does not wait for it.
        with suppress(ProcessLookupError):
            os.killpg(daemon.pid, signal.SIGKILL)


def test_the_daemon_learns_that_a_killed_run_is_dead_and_the_next_run_notes_it_and_why(
    home: ProjectPaths, waiting: subprocess.Popen[bytes], instance: dg.DagsterInstance
):
    # given
    launcher, [killed] = instance.run_launcher, instance.get_runs()
    assert isinstance(launcher, MonitoredRunLauncher)
    assert launcher.check_run_worker_health(killed).status == WorkerStatus.RUNNING

    # when
    kill(waiting)

    # then
    assert launcher.check_run_worker_health(killed).status == WorkerStatus.FAILED
    assert statuses(instance) == ["STARTED"]

    # and as it would be had it been killed before its first heartbeat
    heartbeat_of(home, killed).unlink()
    assert launcher.check_run_worker_health(killed).status == WorkerStatus.FAILED

    # and when
    succeeded(materialize("inference_wheel"))

    # then
    assert statuses(instance) == ["FAILURE", "SUCCESS"]
    failures = instance.get_records_for_run(killed.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    assert [record.event_log_entry.dagster_event.message for record in failures] == [KILLED]
    assert is_running(home.locks, killed.run_id) is None


def test_the_next_run_leaves_one_that_goes_on_alone(
    home: ProjectPaths, waiting: subprocess.Popen[bytes], instance: dg.DagsterInstance
):
    # when
    fail_orphaned_runs(instance, home.locks)

    # then
    assert statuses(instance) == ["STARTED"]

    # and when: as it is before the first heartbeat
    heartbeat_of(home, instance.get_runs()[0]).unlink()
    fail_orphaned_runs(instance, home.locks)

    # then
    assert statuses(instance) == ["STARTED"]
    mark("go").touch()
    assert waiting.wait(SECONDS) == 0
    assert statuses(instance) == ["SUCCESS"]


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
    launch(tmp_path / "waits.py", instance, until=lambda: set(statuses(instance)) <= {"FAILURE", "CANCELED"})

    # then
    [hung] = [run for run in instance.get_runs() if run.run_id != killed.run_id]
    events = [record.event_log_entry.dagster_event for record in instance.get_records_for_run(hung.run_id).records]
    assert "Exceeded maximum runtime of 2 seconds." in [event.message for event in events if event]
    assert not is_running(home.locks, hung.run_id)
    assert instance.get_run_by_id(killed.run_id).status == dg.DagsterRunStatus.FAILURE
