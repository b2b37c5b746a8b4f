"""Files and folders that are there whole or not at all."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from marvel_assets.utils.files import atomic_write, remove_abandoned_folders, temporary_folder

OWNER = """
import sys
from pathlib import Path
from marvel_assets.utils.files import temporary_folder

with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "half of it").touch()
    print(folder, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a folder there."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_a_folder_is_left_to_a_living_process_and_gone_after_a_killed_one(tmp_path: Path, owner: subprocess.Popen[str]):
    # given
    others = Path(owner.stdout.readline().strip())

    # then
    with temporary_folder(tmp_path) as own:
        (own / "file").touch()
        assert own != others
        assert (others / "half of it").exists()
    assert not own.exists()

    # when
    owner.kill()
    owner.wait()
    with temporary_folder(tmp_path) as own:
        assert not others.exists()
        remove_abandoned_folders(tmp_path)
        assert own.exists()

    # then
    assert list(tmp_path.iterdir()) == []


def test_the_old_content_stands_until_the_block_ends(tmp_path: Path):
    # given
    target = tmp_path / "new folder" / "file.json"
    with atomic_write(target) as unfinished:
        unfinished.write_text("old")

    # when
    with atomic_write(target) as unfinished, atomic_write(target) as other:
        unfinished.write_text("one")
        other.write_text("other")
        meanwhile = target.read_text()

    # then
    assert (meanwhile, target.read_text()) == ("old", "one")
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]):
    # given
    target = tmp_path / "file.json"
    target.write_text("old")

    # when
    with pytest.raises(error), atomic_write(target) as unfinished:  # noqa: PT012
        unfinished.write_text("half of the ne")
        raise error

    # then
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]
