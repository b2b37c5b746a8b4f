"""The generator as a source."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.locate import GeneratedSource
from marvel_assets_tests.kaggle import SOURCE_COLUMNS


def test_the_file_holds_the_generators_rows(tmp_path: Path):
    # given
    expected = generate(300, 7)[list(SOURCE_COLUMNS)].rename(columns=SOURCE_COLUMNS)

    # when
    source = GeneratedSource(300, 7, DATASET)
    rows = pa.Table.from_batches(source.batches()).to_pandas()

    # then
    assert source.label == "generated (300 rows, seed 7)"
    pd.testing.assert_frame_equal(rows.drop(columns="source_row"), expected, check_dtype=False)


@pytest.mark.parametrize(
    ("generator", "error", "message"),
    [
        (None, SourceError, "has no generator"),
        ("import absent_library", ModuleNotFoundError, "absent_library"),
    ],
    ids=["none", "one that lacks a library"],
)
def test_a_generator_that_is_not_there_differs_from_one_that_can_not_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generator: str | None, error: type[Exception], message: str
):
    # given
    package = f"generated_{error.__name__}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    if generator is not None:
        (tmp_path / package / "generator.py").write_text(generator)
    monkeypatch.syspath_prepend(tmp_path)

    # then
    with pytest.raises(error, match=message):
        _ = GeneratedSource(300, 7, replace(DATASET, package=package)).digest
