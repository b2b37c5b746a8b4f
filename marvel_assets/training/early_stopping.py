"""Finds the number of trees on held-out training rows; the test rows are not used.

The rows are held out by a hash of their ids, like the test rows: it needs no seed, and a row stays on its side when the
table grows. The final fit uses all training rows.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from marvel_assets.config import EarlyStopping, ProjectConfig


def find_best_iteration(
    pipeline: Pipeline, rows: pd.DataFrame, ids: Iterable[str], config: ProjectConfig, settings: EarlyStopping
) -> int:
    """The number of trees with the smallest log loss on the held-out rows.

    Args:
        pipeline: unfitted, and not changed; its number of trees is the upper bound.
        rows: features and target.
        ids: of the rows, in their order.
        config: features, target, and how categories are handled.
        settings: the share of rows that is held out, and the rounds without improvement after which it stops.

    Raises:
        ValueError: the held-out rows, or the remaining ones, have only one class.
    """
    from sklearn.base import clone

    target, columns = config.target, list(config.features)
    held_out = is_held_out(ids, settings.share)
    validation, train = rows[held_out], rows[~held_out]
    for part, which in ((validation, f"the {len(validation):,} held out"), (train, f"the {len(train):,} left")):
        if part[target].nunique() < 2:  # noqa: PLR2004
            raise ValueError(
                f"early_stopping.share is {settings.share:g}: of {len(rows):,} training rows, {which} don't hold both "
                f"classes of {target}. Choose another share, fit on more rows, or remove early_stopping."
            )
    prepare, classify = clone(pipeline[:-1]), clone(pipeline[-1])
    return config.model.find_best_iteration(
        classify,
        (prepare.fit_transform(train[columns]), train[target]),
        (prepare.transform(validation[columns]), validation[target]),
        settings.rounds,
        config.cat_features if config.native_categories else (),
    )


def is_held_out(ids: Iterable[str], share: float) -> npt.NDArray[np.bool_]:
    """Which rows are held out, by a hash of their ids that is independent of the train/test split."""
    import numpy as np

    bound = int(share * 2**32)
    digests = (hashlib.md5(f"held out{name}".encode(), usedforsecurity=False).digest() for name in ids)
    return np.fromiter((int.from_bytes(digest[:4]) < bound for digest in digests), dtype=bool)
