"""From the one setting to a source."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.sources.base import Source, SourceError
from marvel_assets.sources.locate import GeneratedSource, locate
from marvel_assets_tests.servers.scripted import Answer, serving
from marvel_assets_tests.sources.conftest import CONTENT, characters, folder_of


def located(setting: str, folder: Path) -> Source:
    return locate(setting, folder, DATASET, Generator(rows=100, seed=5))


def test_generated_is_the_generator_with_its_rows_and_seed(tmp_path: Path):
    # then
    assert located("generated", tmp_path) == GeneratedSource(100, 5, DATASET)


@pytest.mark.parametrize("folder", ["~", "{home}"])
def test_a_path_is_that_file_also_from_the_users_folder_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
):
    # given
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "my characters.csv"
    path.write_bytes(CONTENT)

    # when
    setting = f"{folder.format(home=tmp_path)}/my characters.csv"
    source = located(setting, tmp_path)

    # then
    assert (source.label, source.path) == (setting, path)


def test_a_url_is_downloaded_and_keeps_its_address_as_its_label(tmp_path: Path):
    # when
    with serving(lambda _: Answer(body=CONTENT)) as served:
        source = located(f"{served.url}/x.csv?token=secret", tmp_path)

    # then
    assert source.label == f"{served.url}/x.csv?…"
    assert source.path.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["absent.csv", "~nobody-here/x.csv"])
def test_a_missing_path_is_reported_with_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    # given
    monkeypatch.chdir(tmp_path)
    message = f"{name}: no such file or folder (looked for {tmp_path}/{name})"

    # then
    with pytest.raises(SourceError, match=re.escape(message)):
        located(name, tmp_path)


def rows_of(source: Source) -> pd.DataFrame:
    return pa.Table.from_batches(source.batches()).to_pandas()


def test_a_folder_is_its_files_one_after_another_with_the_rows_numbered_through(tmp_path: Path):
    # given
    characters("c").to_csv(tmp_path / "c.csv", index=False)
    characters("a", "b").to_parquet(tmp_path / "a.parquet", index=False)

    # when
    rows = rows_of(located(str(tmp_path), tmp_path))

    # then
    assert list(zip(rows["source_row"], rows["Name"], strict=True)) == [(1, "a"), (2, "b"), (3, "c")]


def test_of_a_folder_only_its_own_visible_csv_and_parquet_files_are_read(tmp_path: Path):
    # given
    (tmp_path / "below").mkdir()
    (tmp_path / "folder.parquet").mkdir()
    for name in ("b.csv", "a.CSV", "d.csv.gz", ".hidden.csv", "c.csv.bz2", "_SUCCESS", "below/c.csv"):
        (tmp_path / name).write_bytes(CONTENT)

    # when
    source = located(str(tmp_path), tmp_path)

    # then
    assert [file.name for file in source.of_folder] == ["a.CSV", "b.csv", "d.csv.gz"]
    assert source.label == str(tmp_path)
    assert source.notes[0].startswith(f"{tmp_path}: below, c.csv.bz2, folder.parquet not read; ")


def part(*names: str) -> bytes:
    """As Spark writes it: with a header also where there are no rows."""
    return characters("a", *names)[1:].to_csv(index=False).encode()


EMPTY_PARTS = {"0 bytes": b"", "CSV": part(), "Parquet": characters("a")[:0].to_parquet()}


@pytest.mark.parametrize("empty", EMPTY_PARTS.values(), ids=EMPTY_PARTS)
def test_an_empty_part_of_a_folder_adds_no_rows(tmp_path: Path, empty: bytes):
    # given
    folder = folder_of(tmp_path / "folder", {"part-00000.csv": empty, "part-00001.csv": part("a", "b")})

    # then
    assert list(rows_of(located(str(folder), tmp_path))["Name"]) == ["a", "b"]


def test_a_folder_of_empty_parts_is_refused(tmp_path: Path):
    # given
    folder = folder_of(tmp_path / "folder", {"part-0.csv": b"", "part-1.csv": part()})

    # then
    with pytest.raises(SourceError, match=r"part-1.csv: the file has no rows; expected CSV or"):
        rows_of(located(str(folder), tmp_path))


@pytest.mark.parametrize("content", [{}, {"readme.txt": b"x"}], ids=["empty", "other files"])
def test_a_folder_without_files_of_rows_is_reported_with_what_was_expected(tmp_path: Path, content: dict[str, bytes]):
    # given
    folder = folder_of(tmp_path / "deliveries", content)

    # then
    with pytest.raises(
        SourceError, match=r"deliveries: the folder holds no \*.csv, \*.csv.gz or \*.parquet and is not a Delta"
    ):
        located(str(folder), tmp_path)


@pytest.mark.parametrize(
    ("other", "is_equal"),
    [
        ({"a.csv": b"x", "b.csv": b"y"}, True),
        ({"a.csv": b"x"}, False),
        ({"a.csv": b"x", "b.csv": b"z"}, False),
        ({"a.csv": b"x", "c.csv": b"y"}, False),
        ({"a.csv": b"y", "b.csv": b"x"}, False),
    ],
    ids=["the same", "a file less", "other content", "another name", "swapped"],
)
def test_folders_of_equal_files_alone_have_equal_digests(tmp_path: Path, other: dict[str, bytes], *, is_equal: bool):
    # given
    one = folder_of(tmp_path / "one", {"a.csv": b"x", "b.csv": b"y"})
    another = folder_of(tmp_path / "other", other)

    # then
    assert (located(str(one), tmp_path).digest == located(str(another), tmp_path).digest) is is_equal


@pytest.mark.parametrize("setting", ["s3://bucket/x.csv", "file:///etc/passwd"])
def test_an_unknown_scheme_is_reported_with_the_known_ones(tmp_path: Path, setting: str):
    # then
    with pytest.raises(SourceError, match=f"{setting}: sources are read from a file, http://, https://, kaggle:"):
        located(setting, tmp_path)
