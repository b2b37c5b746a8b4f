"""Asking a model once for each distinct row: most characters share what is known of them with others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    import pandas as pd

FEWEST_ROWS = 256
"""Of fewer rows, finding the equal ones costs as much as asking for them all."""


def asked_once_each(rows: pd.DataFrame, ask: Callable[[pd.DataFrame], Sequence[Any] | npt.NDArray[Any]]) -> Any:  # noqa: ANN401
    """A model's answers, one for each row in the order of the rows.

    Args:
        rows: the model's input. Missing cells equal each other.
        ask: the model. It must answer equal rows equally, each by itself.

    Returns:
        An array of shape (n, …), as the model's answers are.
    """
    import numpy as np

    if len(rows) < FEWEST_ROWS:
        return np.asarray(ask(rows))
    try:
        groups = rows.groupby(list(rows.columns), dropna=False, sort=False, observed=True).ngroup().to_numpy()
    except TypeError:  # cells that can't be hashed: the model tells which column they are in
        return np.asarray(ask(rows))
    _, firsts = np.unique(groups, return_index=True)
    return np.asarray(ask(rows.iloc[firsts]))[groups]
