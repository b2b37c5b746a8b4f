"""Heartbeats between processes."""

import subprocess
import sys
from pathlib import Path

from marvel_assets.utils.locks import heartbeat, is_running, remove_stale_heartbeats

HAS_A_HEARTBEAT = """
import sys
from pathlib import Path
from marvel_assets.utils.locks import heartbeat

with heartbeat(Path(sys.argv[1]), "some-run"):
    print("alive", flush=True)
    sys.stdin.readline()
"""


def test_a_run_is_running_as_long_as_its_process_lives(tmp_path: Path):
    # given
    process = subprocess.Popen(
        [sys.executable, "-c", HAS_A_HEARTBEAT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "alive\n"
    assert is_running(tmp_path, "some-run") is True

    # when
    process.kill()
    process.communicate()

    # then
    assert [is_running(tmp_path, "some-run") for _ in range(2)] == [False, False]

    # and the heartbeats of the dead alone are removed
    with heartbeat(tmp_path, "another-run"):
        remove_stale_heartbeats(tmp_path)
        assert is_running(tmp_path, "another-run") is True
    assert is_running(tmp_path, "some-run") is None


def test_a_run_that_ends_by_itself_leaves_no_heartbeat(tmp_path: Path):
    # when
    with heartbeat(tmp_path, "some-run"), heartbeat(tmp_path, "some-run"):
        assert is_running(tmp_path, "some-run") is True

    # then
    assert is_running(tmp_path, "some-run") is None
    assert list((tmp_path / "runs").iterdir()) == []
