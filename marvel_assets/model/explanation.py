"""Explains predictions: what each feature contributes to the raw score of a row."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from marvel_assets.model.batching import predict_unique_rows
from marvel_assets.model.estimators import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from sklearn.pipeline import Pipeline

STRONGEST = 3


def explain(pipeline: Pipeline, features: pd.DataFrame, labels: Sequence[str]) -> dict[str, list[Any]]:
    """What each feature contributes to the raw score of each row, the log odds of the second label.

    Args:
        pipeline: of ``build_pipeline``, fitted.
        features: the rows, as its first step returns them.
        labels: of the classes 0 and 1.

    Returns:
        ``base_value``, the same for all rows; ``contributions`` by feature, which sum with it to the raw score; and
        ``why``, the strongest of them in words.

    Raises:
        ValueError: the pipeline's kind of classifier has no exact contributions.
    """
    values = predict_unique_rows(pipeline, features, partial(kind_of(pipeline).contributions, pipeline[-1]))
    contributions = [dict(zip(features.columns, row, strict=True)) for row in values[:, :-1].tolist()]
    cells = features.astype(object).where(features.notna(), "missing").to_dict("records")
    return {
        "base_value": values[:, -1].tolist(),
        "contributions": contributions,
        "why": [_in_words(*each, labels) for each in zip(contributions, cells, strict=True)],
    }


def strongest_first(contributions: dict[str, float]) -> list[str]:
    """The features with a contribution other than 0, the strongest first."""
    return sorted(filter(contributions.get, contributions), key=lambda name: -abs(contributions[name]))


def _in_words(contributions: dict[str, float], cells: Mapping[Any, object], labels: Sequence[str]) -> str:
    """Such as ``Identity=Secret (dead), Teams=1 (alive), Height=missing (alive)``."""
    strongest = strongest_first(contributions)[:STRONGEST]
    return ", ".join(f"{name}={_shown(cells[name])} ({labels[contributions[name] > 0]})" for name in strongest)


def _shown(cell: object) -> str:
    return f"{cell:g}" if isinstance(cell, float) else str(cell)
