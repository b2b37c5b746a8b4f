"""From the one setting to a source."""

import hashlib
import re
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets.sources.locate import Source, locate
from marvel_assets_tests.sources.conftest import CONTENT


def located(setting: str, folder: Path) -> Source:
    return locate(setting, folder, generator_rows=100, generator_seed=5)


def test_generated_is_the_generator_with_its_rows_and_seed(tmp_path: Path):
    # then
    assert located("generated", tmp_path) == GeneratedSource(100, 5, tmp_path)


def test_a_path_is_that_file(tmp_path: Path):
    # given
    path = tmp_path / "my characters.csv"
    path.write_bytes(CONTENT)

    # when
    source = located(str(path), tmp_path)

    # then
    assert (source.label, source.files()) == (str(path), [path])
    assert source.digest == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def test_a_path_may_begin_at_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "characters.csv").write_bytes(CONTENT)

    # then
    assert located("~/characters.csv", tmp_path).files() == [tmp_path / "characters.csv"]


def test_equal_bytes_under_other_names_have_equal_digests(tmp_path: Path):
    # given
    for name, content in {"a.csv": b"x", "b.csv": b"x", "c.csv": b"y"}.items():
        (tmp_path / name).write_bytes(content)

    # when
    one, same, other = (located(str(tmp_path / name), tmp_path).digest for name in ("a.csv", "b.csv", "c.csv"))

    # then
    assert one == same != other


def test_a_url_is_downloaded_and_keeps_its_address_as_its_label(server: str, tmp_path: Path):
    # when
    source = located(f"{server}/characters.csv", tmp_path)

    # then
    assert source.label == f"{server}/characters.csv"
    assert source.files()[0].read_bytes() == CONTENT
    assert source.digest == f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


def test_a_missing_file_is_told_with_where_it_was_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.chdir(tmp_path)

    # then
    with pytest.raises(
        SourceError, match=re.escape(f"absent.csv: no such file or folder (looked for {tmp_path}/absent.csv)")
    ):
        located("absent.csv", tmp_path)


def test_a_folder_is_all_its_files_in_the_order_of_their_names(tmp_path: Path):
    # given
    for name in ("b.csv", "a.parquet", ".hidden.csv", "notes.txt"):
        (tmp_path / name).write_bytes(CONTENT)

    # when
    source = located(str(tmp_path), tmp_path)

    # then
    assert source.files() == [tmp_path / "a.parquet", tmp_path / "b.csv"]


def test_a_folder_with_another_file_has_another_digest(tmp_path: Path):
    # given
    (tmp_path / "a.csv").write_bytes(CONTENT)
    before = located(str(tmp_path), tmp_path).digest

    # when
    (tmp_path / "b.csv").write_bytes(CONTENT)

    # then
    assert located(str(tmp_path), tmp_path).digest != before


def test_an_empty_folder_is_told(tmp_path: Path):
    # then
    with pytest.raises(SourceError, match="the folder holds no CSV or Parquet file; put some there"):
        located(str(tmp_path), tmp_path).files()


def test_a_folder_with_a_delta_log_is_the_tables_newest_version(tmp_path: Path):
    # given
    table = tmp_path / "table"
    for turn in range(2):
        write_deltalake(table, pa.table({"Name": [f"Anna {turn}"]}), mode="append")

    # when
    source = located(str(table), tmp_path)

    # then
    assert source.label == f"{table}@v1"
    assert source.digest == f"delta:{DeltaTable(table).metadata().id}@1"


def test_a_delta_log_that_can_not_be_read_is_told(tmp_path: Path):
    # given
    (tmp_path / "table" / "_delta_log").mkdir(parents=True)

    # then
    with pytest.raises(SourceError, match="has a _delta_log and can't be read as a Delta table"):
        located(str(tmp_path / "table"), tmp_path)


@pytest.mark.parametrize("setting", ["s3://bucket/x.csv", "file:///etc/passwd", "ftp://host/x.csv", "://"])
def test_an_unknown_scheme_is_told_with_the_known_ones(tmp_path: Path, setting: str):
    # then
    with pytest.raises(
        SourceError,
        match=f"{setting}: sources are read from a file, a folder, a Delta table, http://, https://, kaggle:",
    ):
        located(setting, tmp_path)
