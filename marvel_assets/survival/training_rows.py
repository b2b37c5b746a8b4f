"""Rows as the pipeline is fitted on them, and their identity."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from marvel_assets.survival.schema import IDENTIFIER, MEASURES, TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import pyarrow as pa


def columns_for_training(features: Sequence[str]) -> list[str]:
    """What has to be read: the id, the features, the target."""
    return [IDENTIFIER, *features, TARGET]


def to_frame(table: pa.Table, features: Sequence[str]) -> pd.DataFrame:
    """An Arrow table that is ordered by id, as a frame of features and target.

    Measures are float64 with NaN where missing, flags and the target int32, all else text.
    """
    frame: pd.DataFrame = table.select([*features, TARGET]).to_pandas()
    measures = [name for name in MEASURES if name in features]
    return frame.astype(dict.fromkeys(measures, "float64"))


def rows_digest(frame: pd.DataFrame) -> str:
    """Hash of a frame's rows, values and order and columns."""
    import pandas as pd

    digest = hashlib.sha256(",".join(f"{name}:{frame[name].dtype}" for name in frame.columns).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:32]
