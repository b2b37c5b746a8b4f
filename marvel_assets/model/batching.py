"""Asking a model once for each distinct row, on every core: most characters share what is known of them with others."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    import pandas as pd

    Ask = Callable[[pd.DataFrame], Sequence[Any] | npt.NDArray[Any]]

MIN_ROWS = 256
"""Of fewer rows, finding the equal ones costs as much as asking for them all, and so does starting threads."""


def predict_unique_rows(rows: pd.DataFrame, ask: Ask) -> Any:  # noqa: ANN401
    """A model's answers, one for each row in the order of the rows.

    Args:
        rows: the model's input. Missing cells equal each other.
        ask: the model. It must answer equal rows equally, each by itself.

    Returns:
        An array of shape (n, …), as the model's answers are.
    """
    import numpy as np

    if len(rows) < MIN_ROWS:
        return np.asarray(ask(rows))
    try:
        groups = rows.groupby(list(rows.columns), dropna=False, sort=False, observed=True).ngroup().to_numpy()
    except TypeError:  # cells that can't be hashed: the model names their column
        return np.asarray(ask(rows))
    _, firsts = np.unique(groups, return_index=True)
    return np.asarray(ask(rows.iloc[firsts]))[groups]


def predict_in_threads(ask: Ask) -> Ask:
    """The same model, asked by as many threads as there are cores, each for a part of the rows.

    Classifiers let go of the interpreter while they predict. Threads of their own (OpenMP's) wait for each other by
    spinning, which takes minutes where another process wants the same cores: each of ours keeps them to one.
    """

    def ask_in_parts(rows: pd.DataFrame) -> npt.NDArray[Any]:
        import numpy as np
        from threadpoolctl import ThreadpoolController

        controller = ThreadpoolController()

        def ask_alone(part: pd.DataFrame) -> Sequence[Any] | npt.NDArray[Any]:
            with controller.limit(limits=1, user_api="openmp"):
                return ask(part)

        parts = max(1, min(os.cpu_count() or 1, len(rows) // MIN_ROWS))
        ends = np.linspace(0, len(rows), parts + 1, dtype=int)
        with ThreadPoolExecutor(parts) as threads:
            return np.concatenate(list(threads.map(ask_alone, (rows.iloc[start:end] for start, end in pairwise(ends)))))

    return ask_in_parts
