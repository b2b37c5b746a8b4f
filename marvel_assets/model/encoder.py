"""Encodes categories as integers: the pipeline's second step."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

Category = int | float | str
Counts = Mapping[str, Mapping[Category, int]]

UNKNOWN = -1
"""The code of a missing cell, and of unseen values if ``fit`` saw no infrequent ones."""


class CatToIntTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Replaces the values of categorical columns by their position among the sorted values seen in ``fit``.

    With ``min_frequency``, the less frequent values of a column share one code, as in
    ``sklearn.preprocessing.OrdinalEncoder``; values that ``fit`` did not see share it too.

    A category is a string, a number or a boolean. Values that are equal in Python are one category: 1, 1.0 and True,
    but not "1". So a flag may be fitted as an integer and scored as a float, a bool or a nullable Int64. Missing cells
    (None, NaN, NaT, pd.NA) are never a category.

    Args:
        columns: names of the columns to encode; None encodes every column. The columns of an array are x0, x1, ….
        min_frequency: how often a value must occur in its column to get its own code. None gives every value one.

    Attributes:
        categories_: for each encoded column, the categories with their own code, in the order of the codes: numbers by
            size, then strings by code point.
        infrequent_codes_: for each encoded column, the code of all other values: one more than the last category's if
            ``fit`` saw infrequent values, else -1.
    """

    categories_: dict[str, list[Category]]
    infrequent_codes_: dict[str, int]

    def __init__(self, columns: Sequence[str] | None = None, min_frequency: int | None = None) -> None:
        self.columns = columns
        self.min_frequency = min_frequency

    def fit(self, X: pd.DataFrame | npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """Learn the categories of a frame or array of shape (n_samples, n_features)."""
        return self.fit_counts(self.count(self._as_frame(X, reset=True)))

    def fit_counts(self, counts: Counts) -> Self:
        """Learn the categories from the counts of several frames, after ``fit`` on an empty one with their columns."""
        self.categories_, self.infrequent_codes_ = {}, {}
        for name, counted in counts.items():
            frequent = [category for category, count in counted.items() if count >= (self.min_frequency or 1)]
            self.categories_[name] = sorted(frequent, key=lambda category: (isinstance(category, str), category))
            self.infrequent_codes_[name] = len(frequent) if len(frequent) < len(counted) else UNKNOWN
        return self

    def count(self, frame: pd.DataFrame) -> dict[str, dict[Category, int]]:
        """How often each category of each column to encode occurs in a frame."""
        return {name: _counted(frame[name]) for name in (frame.columns if self.columns is None else self.columns)}

    def transform(self, X: pd.DataFrame | npt.ArrayLike) -> Any:  # noqa: ANN401, N803
        """A new frame or array, like X: the encoded columns as int32, the others unchanged."""
        check_is_fitted(self)
        frame = self._as_frame(X, reset=False)
        columns = {
            name: self._codes(frame[name]) if name in self.categories_ else frame[name].copy() for name in frame.columns
        }
        encoded = pd.DataFrame(columns, index=frame.index, copy=False)
        return encoded if isinstance(X, pd.DataFrame) else encoded.to_numpy()

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.categorical = tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _as_frame(self, X: pd.DataFrame | npt.ArrayLike, *, reset: bool) -> pd.DataFrame:  # noqa: N803
        """Check shape and column names as scikit-learn does."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        table = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        return pd.DataFrame(table, columns=self.get_feature_names_out())

    def _codes(self, column: pd.Series) -> npt.NDArray[np.int32]:
        places, distinct = pd.factorize(column)
        code_of = {category: code for code, category in enumerate(self.categories_[str(column.name)])}
        other = self.infrequent_codes_[str(column.name)]
        # Index -1, a missing cell, picks the last entry.
        return np.array([*(code_of.get(value, other) for value in distinct), UNKNOWN], dtype=np.int32)[places]


def _counted(column: pd.Series) -> dict[Category, int]:
    places, distinct = pd.factorize(column)
    counts = np.bincount(places[places >= 0], minlength=len(distinct))
    return {_category(value, column.name): int(count) for value, count in zip(distinct, counts, strict=True)}


def _category(value: object, column: object) -> Category:
    """The value in canonical form: int if whole, else float, or str."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float | np.floating) and not value.is_integer():
        return float(value)
    if isinstance(value, bool | np.bool_ | int | np.integer | float | np.floating):
        return int(value)
    raise TypeError(f"column {column}: {value!r} can't be a category; argument must be a string, a number or a boolean")
