"""What is said of a disk; that of a run on a full or closed one is in faults/test_disk.py."""

from pathlib import Path

import pytest

from marvel_assets.defs.disk_space import add_disk_hint, check
from marvel_assets.paths import ProjectPaths


@pytest.mark.parametrize(
    "message", ["[Errno 28] No space left on device.", "(sqlite3.OperationalError) disk I/O error", "timed out"]
)
def test_an_error_that_may_report_a_full_disk_says_which_and_what_to_do(tmp_path: Path, message: str):
    # when
    hint = add_disk_hint(message, ProjectPaths(tmp_path))

    # then
    assert hint.startswith(message.rstrip("."))
    assert (f"The disk may be full: {tmp_path} has " in hint) is (message != "timed out")


def test_a_home_that_is_a_file_is_named(tmp_path: Path):
    # given
    (tmp_path / "home").touch()

    # then
    [problem] = check(ProjectPaths(tmp_path / "home"))
    assert problem == f"MARVEL_HOME is '{tmp_path / 'home'}', which is not a folder; name another."
