"""Folders that go with their owner, or with the next one."""

import subprocess
import sys
from pathlib import Path

import pytest

from marvel_assets.utils.temporary_folders import clear_up, temporary_folder

OWNER = """
import sys
from pathlib import Path
from marvel_assets.utils.temporary_folders import temporary_folder

with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "half of it").touch()
    print(folder, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def owner(tmp_path: Path):
    """Another process that has a folder there."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_nothing_is_left_at_the_end(tmp_path: Path):
    # when
    with temporary_folder(tmp_path) as folder:
        (folder / "file").touch()

    # then
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_gone_with_the_next_folder(tmp_path: Path, owner: subprocess.Popen[str]):
    # given
    left = Path(owner.stdout.readline().strip())
    owner.kill()
    owner.wait()
    assert left.exists()

    # when
    with temporary_folder(tmp_path):
        # then
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_killed_processes_left_is_cleared_up_and_the_living_keep_theirs(
    tmp_path: Path, owner: subprocess.Popen[str]
):
    # given
    left = Path(owner.stdout.readline().strip())
    owner.kill()
    owner.wait()

    # when
    with temporary_folder(tmp_path / "elsewhere") as own:
        clear_up(tmp_path)
        clear_up(tmp_path / "elsewhere")

        # then
        assert not left.exists()
        assert own.exists()


def test_there_is_nothing_to_clear_up_in_a_folder_that_is_not_there(tmp_path: Path):
    # when
    clear_up(tmp_path / "nowhere")

    # then
    assert not (tmp_path / "nowhere").exists()


def test_the_folder_of_a_living_process_is_left_alone(tmp_path: Path, owner: subprocess.Popen[str]):
    # given
    others = Path(owner.stdout.readline().strip())

    # when
    with temporary_folder(tmp_path) as own:
        # then
        assert own != others
        assert (others / "half of it").exists()
