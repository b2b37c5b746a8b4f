"""The generator as a source."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets_tests.kaggle import SOURCE_COLUMNS


def test_the_file_holds_the_generators_rows(tmp_path: Path):
    # given
    expected = generate(300, 7)[list(SOURCE_COLUMNS)].rename(columns=SOURCE_COLUMNS)

    # when
    source = GeneratedSource(300, 7, tmp_path, DATASET)
    rows = pa.Table.from_batches(source.batches()).to_pandas()

    # then
    assert source.label == "generated (300 rows, seed 7)"
    pd.testing.assert_frame_equal(rows.drop(columns="source_row"), expected, check_dtype=False)
