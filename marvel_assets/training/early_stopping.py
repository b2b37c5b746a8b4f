"""How many trees help, found on training rows that are held out for it. The test rows have no part in it.

The rows held out are chosen by a hash of their ids, as the test rows are: it needs no seed, a character stays on its
side when the table grows, and no choice of rows can be tried until one flatters the model. Once the number is found,
the rows held out are fitted, too.
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
    """The number of trees after which the log loss on the rows held out is smallest.

    Args:
        pipeline: unfitted, and left so; its number of trees is the most that are tried.
        rows: features and target.
        ids: of the rows, in their order.
        config: features, target, and how categories are taken.
        settings: the share of rows that is held out, and the rounds without improvement after which it stops.

    Raises:
        ValueError: the rows held out, or the rows left for training, hold one class only.
    """
    from sklearn.base import clone

    target, columns = config.target, list(config.features)
    held_out = is_held_out(ids, settings.share)
    validation, train = rows[held_out], rows[~held_out]
    for part, which in ((validation, f"the {len(validation):,} held out"), (train, f"the {len(train):,} left")):
        if part[target].nunique() < 2:  # noqa: PLR2004
            raise ValueError(
                f"early_stopping.share is {settings.share:g}: of {len(rows):,} training rows, {which} don't hold both "
                f"classes of {target}. Choose another share, fit on more rows, or take early_stopping out."
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
    """Which rows are held out, by a hash of their ids other than the one that chose the test rows."""
    import numpy as np

    bound = int(share * 2**32)
    digests = (hashlib.md5(f"held out{name}".encode(), usedforsecurity=False).digest() for name in ids)
    return np.fromiter((int.from_bytes(digest[:4]) < bound for digest in digests), dtype=bool)
