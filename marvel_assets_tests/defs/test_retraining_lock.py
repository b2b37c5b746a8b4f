"""One retraining at a time: the second waits, and a killed one holds up none."""

import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.defs.retraining_lock import RetrainingLock
from marvel_assets_tests.graph import failure_of

pytestmark = pytest.mark.integration

HOLDS = """
import sys
import dagster as dg
from marvel_assets.defs.retraining_lock import RetrainingLock

@dg.asset
def first(context: dg.AssetExecutionContext, retraining_lock: RetrainingLock) -> None:
    retraining_lock.acquire(context)
    print("holds", flush=True)
    sys.stdin.readline()

dg.materialize([first], resources={"retraining_lock": RetrainingLock(locks=sys.argv[1])})
"""


def take(locks: Path, instance: dg.DagsterInstance, wait_seconds: int) -> dg.ExecuteInProcessResult:
    """Acquire the lock in a run of this process."""

    @dg.asset
    def second(context: dg.AssetExecutionContext, retraining_lock: RetrainingLock) -> None:
        retraining_lock.acquire(context)
        retraining_lock.acquire(context)

    lock = RetrainingLock(locks=str(locks), wait_seconds=wait_seconds)
    return dg.materialize([second], resources={"retraining_lock": lock}, instance=instance, raise_on_error=False)


def test_a_second_run_waits_names_the_first_where_it_hangs_and_goes_on_when_that_is_killed(tmp_path: Path):
    # given: a run in its own process that holds the lock
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(tmp_path)], text=True, **pipes) as first:
        assert first.stdout.readline() == "holds\n"
        with dg.DagsterInstance.ephemeral() as instance:
            # when
            waited = take(tmp_path, instance, wait_seconds=1)

            # then
            logged = [entry.user_message for entry in instance.all_logs(waited.run_id)]
            assert any("retrainings don't overlap: run " in line for line in logged)
            named = rf"run \w{{8}} \(process {first.pid}, since .* UTC\) is still retraining after 1 seconds"
            assert re.search(named, failure_of(waited))

            # and when
            first.kill()
            first.wait()

            # then
            assert take(tmp_path, instance, wait_seconds=0).success
