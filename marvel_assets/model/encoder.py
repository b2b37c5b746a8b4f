"""Encodes categories as integers: the pipeline's second step."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

UNKNOWN = -1  # the code of a missing cell, and of unseen values if `fit` saw no infrequent ones


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

    def __init__(self, columns: Sequence[str] | None = None, min_frequency: int | None = None) -> None:
        self.columns = columns
        self.min_frequency = min_frequency

    def fit(self, X: pd.DataFrame | npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """Learn the categories of a frame or array of shape (n_samples, n_features)."""
        return self.fit_counts(self.count(self._frame(X, reset=True)))

    def fit_counts(self, counts: Mapping[str, Mapping[Any, int]]) -> Self:
        """Learn the categories from the counts of several frames, after ``fit`` on an empty one with their columns."""
        self.categories_: dict[str, list[Any]] = {}
        self.infrequent_codes_: dict[str, int] = {}
        for name, counted in counts.items():
            frequent = [category for category, count in counted.items() if count >= (self.min_frequency or 1)]
            self.categories_[name] = sorted(frequent, key=lambda category: (isinstance(category, str), category))
            self.infrequent_codes_[name] = len(frequent) if len(frequent) < len(counted) else UNKNOWN
        return self

    def count(self, frame: pd.DataFrame) -> dict[str, dict[Any, int]]:
        """How often each category of each column to encode occurs in a frame."""
        counted = {
            name: frame[name].value_counts() for name in (frame.columns if self.columns is None else self.columns)
        }
        # Without the values that a categorical column could hold and doesn't.
        return {name: counts[counts > 0].to_dict() for name, counts in counted.items()}

    def transform(self, X: pd.DataFrame | npt.ArrayLike) -> Any:  # noqa: ANN401, N803
        """A new frame or array, like X: the encoded columns as int32, the others unchanged."""
        check_is_fitted(self)
        frame = self._frame(X, reset=False)
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

    def _frame(self, X: pd.DataFrame | npt.ArrayLike, *, reset: bool) -> pd.DataFrame:  # noqa: N803
        """A frame as it is, or an array with scikit-learn's names of its columns, once it is checked."""
        is_frame = isinstance(X, pd.DataFrame)
        table = validate_data(self, X, reset=reset, skip_check_array=is_frame, dtype=None, ensure_all_finite=False)
        return table if is_frame else pd.DataFrame(table, columns=self.get_feature_names_out())

    def _codes(self, column: pd.Series) -> npt.NDArray[np.int32]:
        places, distinct = pd.factorize(column)
        code_of = {category: code for code, category in enumerate(self.categories_[str(column.name)])}
        other = self.infrequent_codes_[str(column.name)]
        # Index -1, a missing cell, picks the last entry.
        return np.array([*(code_of.get(value, other) for value in distinct), UNKNOWN], dtype=np.int32)[places]
