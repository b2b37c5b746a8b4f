"""One retraining at a time: the second waits, and a killed one holds up nobody."""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import filelock
import pytest

from marvel_assets.home import Home
from marvel_assets.resources.retraining_turn import RetrainingTurn

pytestmark = pytest.mark.integration

HOLDS = """
import sys
import dagster as dg
from marvel_assets.resources.retraining_turn import RetrainingTurn

@dg.asset
def first(context: dg.AssetExecutionContext, turn: RetrainingTurn) -> None:
    turn.take(context)
    print("holds", flush=True)
    sys.stdin.readline()

dg.materialize([first], resources={"turn": RetrainingTurn(locks=sys.argv[1])})
"""


def holder(locks: Path) -> subprocess.Popen[str]:
    """A run in a process of its own that has taken the turn, and ends when it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(locks)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "holds\n"
    return process


def take(locks: Path, instance: dg.DagsterInstance) -> None:
    """Take the turn in a run of this process."""

    @dg.asset
    def second(context: dg.AssetExecutionContext, turn: RetrainingTurn) -> None:
        turn.take(context)
        turn.take(context)

    dg.materialize([second], resources={"turn": RetrainingTurn(locks=str(locks))}, instance=instance)


def logged(instance: dg.DagsterInstance) -> list[str]:
    """What the instance's runs have logged."""
    return [entry.user_message for run in instance.get_runs() for entry in instance.all_logs(run.run_id)]


@pytest.fixture
def instance(home: Home) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.from_config(str(home.dagster)) as found:
        yield found


def test_the_second_run_waits_and_says_for_whom(tmp_path: Path, instance: dg.DagsterInstance):
    # given
    first = holder(tmp_path)

    # when
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(take, tmp_path, instance)
        while not any(line.startswith("Waiting until run ") for line in logged(instance)):
            assert not second.done(), logged(instance)
            time.sleep(0.1)
        first.communicate("end\n")
        second.result()

    # then
    assert first.returncode == 0


def test_a_killed_run_holds_up_nobody(tmp_path: Path, instance: dg.DagsterInstance):
    # given
    first = holder(tmp_path)

    # when
    first.kill()
    first.communicate()
    take(tmp_path, instance)

    # then
    assert not any(line.startswith("Waiting") for line in logged(instance))


def test_the_turn_ends_with_the_run(tmp_path: Path, instance: dg.DagsterInstance):
    # given
    take(tmp_path, instance)

    # then
    with filelock.FileLock(tmp_path / "retraining.lock").acquire(timeout=0):
        pass
