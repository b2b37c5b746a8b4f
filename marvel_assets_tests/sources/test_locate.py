"""From the one setting to a source."""

from pathlib import Path

import pandas as pd
import pytest

from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.sources.base import Source, SourceError
from marvel_assets.sources.resource import locate
from marvel_assets_tests.kaggle import SOURCE_COLUMNS
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.sources.conftest import CONTENT, characters, folder_of, rows_of


def located(setting: object, scratch: Path) -> Source:
    return locate(str(setting), scratch, DATASET, Generator(rows=300, seed=7))


def test_generated_is_the_generator_with_its_rows_and_seed(tmp_path: Path):
    # given
    expected = generate(300, 7)[list(SOURCE_COLUMNS)].rename(columns=SOURCE_COLUMNS)

    # when
    source = located("generated", tmp_path)

    # then
    assert source.label == "generated (300 rows, seed 7)"
    pd.testing.assert_frame_equal(rows_of(source).drop(columns="source_row"), expected, check_dtype=False)


def test_a_path_is_that_file(tmp_path: Path):
    # given
    characters("a").to_csv(file := tmp_path / "my characters.csv", index=False)

    # when
    source = located(file, tmp_path)

    # then
    assert (source.label, list(rows_of(source)["Name"])) == (str(file), ["a"])


def test_a_url_is_downloaded_and_keeps_its_address_as_its_label(tmp_path: Path):
    # when
    with serving(lambda _: Answer(body=characters("a").to_csv(index=False).encode())) as served:
        source = located(f"{served.url}/x.csv?token=secret", tmp_path)

    # then
    assert (source.label, list(rows_of(source)["Name"])) == (f"{served.url}/x.csv?…", ["a"])


def test_a_folder_is_its_visible_csv_and_parquet_files_one_after_another_with_the_rows_numbered_through(tmp_path: Path):
    # given
    folder = folder_of(tmp_path / "deliveries", dict.fromkeys((".hidden.csv", "c.csv.bz2", "_SUCCESS"), CONTENT))
    for below in ("below", "folder.parquet"):
        folder_of(folder / below, {"c.csv": CONTENT})
    characters("d").to_csv(folder / "d.csv.gz", index=False)
    characters("c").to_csv(folder / "c.CSV", index=False)
    characters("a", "b").to_parquet(folder / "a.parquet", index=False)

    # when
    source = located(folder, tmp_path)
    rows = rows_of(source)

    # then
    assert source.label == str(folder)
    assert list(zip(rows["source_row"], rows["Name"], strict=True)) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert source.skipped == "below, c.csv.bz2, folder.parquet"


def test_an_empty_part_of_a_folder_adds_no_rows_and_a_folder_of_empty_parts_is_refused(tmp_path: Path):
    # given: parts as Spark writes them, with a header also where there are no rows
    rows = characters("a", "b")
    empty = {"part-0.csv": b"", "part-1.parquet": rows[:0].to_parquet(), "part-2.csv": rows[:0].to_csv().encode()}
    folder = folder_of(tmp_path / "folder", empty)

    # then
    with pytest.raises(SourceError, match=r"folder: there are no rows"):
        rows_of(located(folder, tmp_path))

    # when
    rows.to_csv(folder / "part-0.csv", index=False)

    # then
    assert list(rows_of(located(folder, tmp_path))["Name"]) == ["a", "b"]


@pytest.mark.parametrize("content", [{}, {"readme.txt": b"x"}], ids=["empty", "other files"])
def test_a_folder_without_files_of_rows_is_reported_with_what_was_expected(tmp_path: Path, content: dict[str, bytes]):
    # given
    folder = folder_of(tmp_path / "deliveries", content)

    # then
    expected = r"deliveries: the folder holds no \*.csv, \*.csv.gz or \*.parquet and is not a Delta"
    with pytest.raises(SourceError, match=expected):
        located(folder, tmp_path)


@pytest.mark.parametrize(
    ("other", "is_equal"),
    [
        ({"a.csv": b"x", "c.csv": b"y"}, True),
        ({"a.csv": b"x"}, False),
        ({"a.csv": b"x", "b.csv": b"z"}, False),
        ({"a.csv": b"y", "b.csv": b"x"}, False),
    ],
    ids=["equal files", "a file less", "other content", "swapped"],
)
def test_folders_of_equal_files_in_the_same_order_alone_have_equal_digests(
    tmp_path: Path, other: dict[str, bytes], *, is_equal: bool
):
    # given
    one = folder_of(tmp_path / "one", {"a.csv": b"x", "b.csv": b"y"})
    another = folder_of(tmp_path / "other", other)

    # then
    assert (located(one, tmp_path).digest == located(another, tmp_path).digest) is is_equal
