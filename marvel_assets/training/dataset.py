"""The rows that the pipeline is fitted on, and their digest."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from marvel_assets.datasets.base import IDENTIFIER


def dataset_columns(features: Sequence[str], target: str) -> list[str]:
    """The columns to read: the id, the features, the target."""
    return [IDENTIFIER, *features, target]


def to_frame(table: pa.Table, features: Sequence[str], target: str) -> pd.DataFrame:
    """Features and target: numbers are float64 with NaN where missing, flags and the target int32, all else text."""
    frame: pd.DataFrame = table.select([*features, target]).to_pandas()
    return frame


class RowsSum(NamedTuple):
    """The part of the rows' digest that some of the rows contribute: ``total`` is the sum of their 64-bit hashes."""

    columns: str
    rows: int
    total: int


def sum_of_rows(frame: pd.DataFrame) -> RowsSum:
    """The sum of a frame's row hashes, regardless of the rows' order."""
    hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    columns = ",".join(f"{name}:{frame[name].dtype}" for name in frame.columns)
    return RowsSum(columns, len(frame), int(hashes.sum(dtype="uint64")))


def rows_digest(sums: Sequence[RowsSum]) -> str:
    """Hash of the rows of one or several frames together, regardless of how they are ordered and divided."""
    total = sum(part.total for part in sums) % 2**64
    columns = sorted({part.columns for part in sums if part.rows})
    return hashlib.sha256(f"{columns} {sum(part.rows for part in sums)} {total}".encode()).hexdigest()[:32]
