"""Files that are there whole or not at all."""

from pathlib import Path

import pytest

from marvel_assets.utils.atomic_files import replacing


def test_a_new_file_takes_its_place_with_its_folders(tmp_path: Path):
    # given
    target = tmp_path / "some" / "folder" / "file.json"

    # when
    with replacing(target) as aside:
        aside.write_text("new")

    # then
    assert target.read_text() == "new"


def test_the_old_content_stands_until_the_block_ends(tmp_path: Path):
    # given
    target = tmp_path / "file.json"
    target.write_text("old")

    # when
    with replacing(target) as aside:
        aside.write_text("new")
        meanwhile = target.read_text()

    # then
    assert (meanwhile, target.read_text()) == ("old", "new")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]):
    # given
    target = tmp_path / "file.json"
    target.write_text("old")

    # when
    with pytest.raises(error), replacing(target) as aside:  # noqa: PT012
        aside.write_text("half of the ne")
        raise error

    # then
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_beside_the_file(tmp_path: Path):
    # given
    target = tmp_path / "file.json"

    # when
    with replacing(target) as aside:
        aside.write_text("new")

    # then
    assert list(tmp_path.iterdir()) == [target]


def test_two_writers_at_once_do_not_mix(tmp_path: Path):
    # given
    target = tmp_path / "file.json"

    # when
    with replacing(target) as one, replacing(target) as other:
        one.write_text("one")
        other.write_text("other")
        is_apart = one != other

    # then
    assert is_apart
    assert target.read_text() == "one"
