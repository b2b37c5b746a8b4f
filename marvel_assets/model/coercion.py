"""The pipeline's first step: brings callers' tables into the form that the pipeline was fitted on."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

NUMBERS = bool | np.bool_ | int | float | np.integer | np.floating | Decimal


@dataclass(kw_only=True, eq=False, repr=False)
class FeatureCoercer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Converts a table to the columns of ``fit``: numbers as numbers, text as text, missing cells filled.

    A number may be an integer, a float, a decimal or a boolean, and a text a string or a category, in any type of
    pandas, Arrow or Polars. A cell is missing if it is None, NaN, NaT, pd.NA or an Arrow null, or a text among
    ``missing_texts``. So a caller gets the same answer as for rows that were cleaned from the source.

    Args:
        fill_values: for each column, the value of a missing cell. Columns without one keep their missing cells.
        blanks: the characters that are trimmed from both ends of a text.
        missing_texts: the texts that count as missing, after trimming.
        spellings: for each column with a closed list, the value of each spelling in lower case.
        required: numeric columns that must be present, although their missing cells stay missing.
        known_values: for each column with a closed list, its values; any other is an error.
        unknown_as_missing: text columns in which it counts as missing instead.
    """

    fill_values: Mapping[str, str | float]
    blanks: str
    missing_texts: Sequence[str]
    spellings: Mapping[str, Mapping[str, str]]
    required: Sequence[str]
    known_values: Mapping[str, Sequence[str | int]]
    unknown_as_missing: Sequence[str]

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:  # noqa: ARG002, N803
        """Learn the columns and their types from a frame, which may have no rows."""
        self.feature_names_in_ = np.array(X.columns, dtype=object)
        self.n_features_in_ = len(X.columns)
        self.numeric_features_ = [str(name) for name in X.columns if X[name].dtype.kind in "biuf"]
        return self

    def transform(self, X: Any) -> pd.DataFrame:  # noqa: ANN401, N803
        """The columns of ``fit``, in their order, from a frame of pandas or Polars, or a ``pyarrow.Table``.

        Other columns are ignored. A numeric column may be absent if its missing cells stay missing and it is not
        required. A ``ValueError`` names a column that is absent or repeated, or whose values can't be used.
        """
        check_is_fitted(self)
        frame: pd.DataFrame = X if isinstance(X, pd.DataFrame) else X.to_pandas()
        self._check_columns(frame)
        columns = {name: self._coerced(frame, name) for name in self.feature_names_in_}
        return pd.DataFrame(columns, index=frame.index, copy=False)

    def _check_columns(self, frame: pd.DataFrame) -> None:
        optional = set(self.numeric_features_).difference(self.fill_values, self.required)
        expected = ", ".join(f"{name} (optional)" if name in optional else name for name in self.feature_names_in_)
        counts = Counter(frame.columns)
        absent = [name for name in self.feature_names_in_ if counts[name] == 0 and name not in optional]
        repeated = [name for name in self.feature_names_in_ if counts[name] > 1]
        for names, problem in ((absent, "is missing"), (repeated, "is there more than once")):
            if names:
                raise ValueError(f"column {', '.join(names)} {problem}; expected {expected}.")

    def _coerced(self, frame: pd.DataFrame, name: str) -> Any:  # noqa: ANN401
        if name not in frame.columns:
            return np.full(len(frame), np.nan)
        column, fill, known = frame[name], self.fill_values.get(name), self.known_values.get(name)
        if name not in self.numeric_features_:
            codes, distinct = _factorized(column, name, "text", str)
            texts = [self._text(value, name, fill, known) for value in distinct]
            is_unchanged = column.dtype == np.dtype(object) and (fill is None or -1 not in codes) and texts == distinct
            return column if is_unchanged else np.array([*texts, fill], dtype=object)[codes]
        missing = np.nan if fill is None else float(fill)
        if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf":
            numbers = column.fillna(missing).to_numpy()
        else:
            codes, distinct = _factorized(column, name, "a number", NUMBERS)
            numbers = np.array([*map(float, distinct), missing])[codes]  # index -1, a missing cell, picks the last
        if known is not None and not (is_known := np.isin(numbers, known)).all():
            raise _unknown(numbers[~is_known][0], name, known)
        return numbers

    def _text(self, value: str, name: str, fill: object, known: Sequence[str | int] | None) -> object:
        stripped = value.strip(self.blanks)
        if stripped in self.missing_texts:
            return fill
        text = self.spellings.get(name, {}).get(stripped.lower(), stripped)
        if known is None or text in known or text == fill:
            return text
        if name in self.unknown_as_missing:
            return fill
        raise _unknown(text, name, known)


def _factorized(column: pd.Series, name: str, expected: str, types: Any) -> tuple[Any, list[Any]]:  # noqa: ANN401
    """Each cell's index among the distinct values, -1 if missing, and the distinct values, which have these types."""
    try:
        codes, distinct = pd.factorize(column.to_numpy(dtype=object))
    except TypeError as error:
        raise ValueError(f"column {name}: expected {expected}, found cells of another kind ({error}).") from error
    if wrong := [value for value in distinct if not isinstance(value, types)]:
        found = f"{str(wrong[0])[:80]!r} ({type(wrong[0]).__name__})"
        raise ValueError(f"column {name}: expected {expected}, found {found}.")
    return codes, distinct.tolist()


def _unknown(value: object, name: str, known: Sequence[str | int]) -> ValueError:
    return ValueError(f"column {name}: {str(value)[:80]!r} is not one of {', '.join(map(str, known))}.")
