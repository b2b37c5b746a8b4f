"""The generator as a source."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from marvel_assets.datasets.marvel_kaggle.columns import SOURCE_COLUMNS
from marvel_assets.datasets.marvel_kaggle.generator import synthetic_characters
from marvel_assets.sources.generated import GeneratedSource


@pytest.mark.parametrize(("rows", "seed"), [(101, 7), (100, 8)])
def test_the_digest_depends_on_rows_and_seed(tmp_path: Path, rows: int, seed: int):
    # then
    assert GeneratedSource(rows, seed, tmp_path).digest != GeneratedSource(100, 7, tmp_path).digest


def test_the_digest_does_not_depend_on_the_folder(tmp_path: Path):
    # then
    assert GeneratedSource(100, 7, tmp_path).digest == GeneratedSource(100, 7, tmp_path / "other").digest


def test_rows_and_seed_do_not_run_into_one_another(tmp_path: Path):
    # then
    assert GeneratedSource(1, 11, tmp_path).digest != GeneratedSource(11, 1, tmp_path).digest


def test_telling_the_digest_generates_nothing(tmp_path: Path):
    # when
    assert GeneratedSource(100, 7, tmp_path).digest

    # then
    assert list(tmp_path.iterdir()) == []


def test_the_file_holds_the_generators_rows(tmp_path: Path):
    # given
    expected = synthetic_characters(300, 7)[list(SOURCE_COLUMNS)].rename(columns=SOURCE_COLUMNS)

    # when
    source = GeneratedSource(300, 7, tmp_path)
    rows = pa.Table.from_batches(source.batches()).to_pandas()

    # then
    pd.testing.assert_frame_equal(rows.drop(columns="source_row"), expected, check_dtype=False)


def test_the_label_names_size_and_seed(tmp_path: Path):
    # then
    assert GeneratedSource(92_000, 616, tmp_path).label == "generated (92,000 rows, seed 616)"
