"""One retraining at a time: the second waits, and a killed one holds up nobody."""

import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import filelock

from marvel_assets.resources.retraining_turn import RetrainingTurn

HOLDS = """
import sys, time
import dagster as dg
from marvel_assets.resources.retraining_turn import RetrainingTurn

@dg.asset
def first(context: dg.AssetExecutionContext, turn: RetrainingTurn) -> None:
    turn.take(context)
    print("holds", flush=True)
    time.sleep(float(sys.argv[2]))

dg.materialize([first], resources={"turn": RetrainingTurn(locks=sys.argv[1])})
"""


def holder(locks: Path, seconds: float) -> subprocess.Popen[str]:
    """A run in a process of its own that has taken the turn."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(locks), str(seconds)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "holds\n"
    return process


def take(locks: Path) -> list[str]:
    """Take the turn in a run of this process; returns what the run logged."""

    @dg.asset
    def second(context: dg.AssetExecutionContext, turn: RetrainingTurn) -> None:
        turn.take(context)
        turn.take(context)

    instance = dg.DagsterInstance.ephemeral()
    result = dg.materialize([second], resources={"turn": RetrainingTurn(locks=str(locks))}, instance=instance)
    return [entry.user_message for entry in instance.all_logs(result.run_id)]


def test_the_second_run_waits_and_says_for_whom(tmp_path: Path):
    # given
    first = holder(tmp_path, seconds=2)

    # when
    logged = take(tmp_path)

    # then
    assert first.wait(timeout=10) == 0
    assert any(line.startswith("Waiting until run ") for line in logged)


def test_a_killed_run_holds_up_nobody(tmp_path: Path):
    # given
    first = holder(tmp_path, seconds=600)

    # when
    first.kill()
    first.wait()
    started = time.monotonic()
    logged = take(tmp_path)

    # then
    assert time.monotonic() - started < 60
    assert not any(line.startswith("Waiting") for line in logged)


def test_the_turn_ends_with_the_run(tmp_path: Path):
    # given
    take(tmp_path)

    # then
    with filelock.FileLock(tmp_path / "retraining.lock").acquire(timeout=0):
        pass
