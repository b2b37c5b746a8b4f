"""Signs of life between processes."""

import subprocess
import sys
from pathlib import Path

import pytest

from marvel_assets.utils.run_heartbeat import forget, giving_a_sign, goes_on, known_runs

GIVES_A_SIGN = """
import sys
from pathlib import Path
from marvel_assets.utils.run_heartbeat import giving_a_sign

with giving_a_sign(Path(sys.argv[1]), "some-run"):
    print("alive", flush=True)
    sys.stdin.readline()
"""


def living(locks: Path) -> subprocess.Popen[str]:
    """A process of the run, until it is told to end or killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", GIVES_A_SIGN, str(locks)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "alive\n"
    return process


def test_a_run_goes_on_as_long_as_one_of_its_processes_lives(tmp_path: Path):
    # given
    first, second = living(tmp_path), living(tmp_path)

    # when
    first.kill()
    first.communicate()

    # then
    assert goes_on(tmp_path, "some-run") is True
    second.kill()
    second.communicate()
    assert goes_on(tmp_path, "some-run") is False


def test_a_run_that_ends_by_itself_leaves_no_sign(tmp_path: Path):
    # given
    process = living(tmp_path)

    # when
    process.communicate("end\n")

    # then
    assert goes_on(tmp_path, "some-run") is None
    assert known_runs(tmp_path) == []


def test_nothing_is_known_of_a_run_that_never_gave_a_sign(tmp_path: Path):
    # given
    with giving_a_sign(tmp_path, "another-run"):
        # then
        assert goes_on(tmp_path, "some-run") is None
        assert goes_on(tmp_path, "another-run") is True


def test_what_a_killed_run_left_stays_until_it_is_forgotten(tmp_path: Path):
    # given
    process = living(tmp_path)
    process.kill()
    process.communicate()
    assert [goes_on(tmp_path, "some-run") for _ in range(2)] == [False, False]

    # when
    forget(tmp_path, "some-run")

    # then
    assert known_runs(tmp_path) == []


def test_signs_that_can_not_be_listed_are_not_taken_for_none(tmp_path: Path):
    # given
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "some-run").touch()

    # then
    with pytest.raises(NotADirectoryError):
        goes_on(tmp_path, "some-run")
