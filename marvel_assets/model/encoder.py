"""Encodes categories as integers: the pipeline's second step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from pandas.api.extensions import ExtensionArray

    Category = int | float | str
    Codes = npt.NDArray[np.int32]

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
        columns: names of the columns to encode; None encodes every column. The columns of an array are called
            x0, x1, ….
        min_frequency: how often a value must occur in its column to get its own code. None gives every value one.

    Attributes:
        categories_: for each encoded column, in the order of the input, the categories with their own code, in the
            order of the codes: numbers by size, then strings by code point. It depends only on the values and their
            frequencies, not on the order of rows or on the type in which a number is stored.
        infrequent_codes_: for each encoded column, the code of all other values: one more than the last category's if
            ``fit`` saw infrequent values, else -1.
        n_features_in_: number of columns seen in ``fit``.
        feature_names_in_: their names; only if ``fit`` saw a frame whose column names are strings.
    """

    categories_: dict[str, list[Category]]
    infrequent_codes_: dict[str, int]
    n_features_in_: int

    def __init__(self, columns: Sequence[str] | None = None, min_frequency: int | None = None) -> None:
        self.columns = columns
        self.min_frequency = min_frequency

    def fit(self, X: pd.DataFrame | npt.ArrayLike, y: object = None) -> Self:  # noqa: ARG002, N803
        """Learn the categories of each column to encode.

        Args:
            X: frame or array of shape (n_samples, n_features), with at least one row.
            y: ignored.

        Raises:
            ValueError: X has no rows or isn't a table, two of its columns share a name, or one of ``columns`` isn't in
                it; the message names the column.
            TypeError: a column to encode holds a value that can't be a category.
        """
        table = self._validated(X, reset=True)
        if len(table) == 0:
            raise ValueError("Found no rows to learn categories from: a minimum of 1 is required")
        return self._fit_counts(
            {name: _counted(_column(table, position), name) for position, name in self._columns_to_encode()}
        )

    def fit_counts(self, names: Sequence[str], counts: Mapping[str, Mapping[Category, int]]) -> Self:
        """Learn from category counts what ``fit`` would learn from rows.

        Args:
            names: all columns, in order.
            counts: for each column to encode, how often each category occurs.
        """
        self._validated(pd.DataFrame(columns=list(names)), reset=True)
        return self._fit_counts({name: counts[name] for _, name in self._columns_to_encode()})

    def transform(self, X: pd.DataFrame | npt.ArrayLike) -> Any:  # noqa: ANN401, N803
        """Replace the values of the encoded columns by their codes.

        Args:
            X: frame or array of shape (n_samples, n_features) with the columns of ``fit``, in order; not modified.

        Returns:
            For a frame, a new frame with the same index and columns: the encoded columns as int32, the others
            unchanged. For an array, a new array of the same shape: int32 if every column is encoded, else a type that
            holds both codes and the other columns. A code is the value's position in ``categories_``; values that
            aren't there get the column's ``infrequent_codes_``, and missing cells -1.

        Raises:
            NotFittedError: before ``fit``.
            ValueError: the columns aren't those of ``fit``; the message names them.
            TypeError: a column to encode holds cells that can't be hashed, such as lists.
        """
        check_is_fitted(self)
        table = self._validated(X, reset=False)
        codes = {
            position: self._codes(_column(table, position), name)
            for position, name in enumerate(self.get_feature_names_out())
            if name in self.categories_
        }
        if isinstance(table, pd.DataFrame):
            return _frame_with(table, codes)
        return _array_with(table, codes)

    def codes_of(self, categories: Sequence[Category], column: str) -> Codes:
        """The codes of categories of one encoded column; (n,)."""
        code_of = {category: code for code, category in enumerate(self.categories_[column])}
        other = self.infrequent_codes_[column]
        return np.array([code_of.get(category, other) for category in categories], dtype=np.int32)

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _columns_to_encode(self) -> list[tuple[int, str]]:
        """Position and name of each column to encode."""
        names = [str(name) for name in self.get_feature_names_out()]
        chosen = set(names if self.columns is None else self.columns)
        if absent := sorted(chosen.difference(names)):
            raise ValueError(f"Columns to encode that X lacks: {', '.join(absent)}")
        return [(position, name) for position, name in enumerate(names) if name in chosen]

    def _fit_counts(self, counts: Mapping[str, Mapping[Category, int]]) -> Self:
        least = self.min_frequency or 1
        self.categories_, self.infrequent_codes_ = {}, {}
        for name, counted in counts.items():
            frequent = [category for category, count in counted.items() if count >= least]
            self.categories_[name] = sorted(frequent, key=lambda category: (isinstance(category, str), category))
            self.infrequent_codes_[name] = len(frequent) if len(frequent) < len(counted) else UNKNOWN
        return self

    def _codes(self, values: npt.NDArray[Any] | ExtensionArray, name: str) -> Codes:
        places, distinct = _factorized(values, name)
        # Index -1, a missing cell, picks the last entry.
        return np.append(self.codes_of(distinct, name), np.int32(UNKNOWN))[places]

    def _validated(self, X: pd.DataFrame | npt.ArrayLike, *, reset: bool) -> pd.DataFrame | npt.NDArray[Any]:  # noqa: N803
        """Check shape and column names as scikit-learn does; a frame stays a frame."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return X
        table: npt.NDArray[Any] = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        if table.dtype.kind == "U" and not hasattr(X, "dtype"):
            # NumPy turns the list [[1, "a"]] into strings, and so 1 into "1", a different category.
            return np.asarray(X, dtype=object)
        return table


def _column(table: pd.DataFrame | npt.NDArray[Any], position: int) -> npt.NDArray[Any] | ExtensionArray:
    if not isinstance(table, pd.DataFrame):
        values: npt.NDArray[Any] = table[:, position]
        return values
    column = table.iloc[:, position]
    return column.to_numpy() if isinstance(column.dtype, np.dtype) else column.array


def _factorized(values: npt.NDArray[Any] | ExtensionArray, name: str) -> tuple[npt.NDArray[np.intp], list[Any]]:
    """Each cell's index among the distinct values, -1 if missing, and the distinct values."""
    try:
        # pandas-stubs take an array or an extension array, but not their union.
        places, distinct = pd.factorize(cast("npt.NDArray[Any]", values))
    except TypeError as error:
        raise TypeError(f"Column {name!r} holds cells that can't be encoded: {error}") from error
    return places, distinct.tolist()


def _counted(values: npt.NDArray[Any] | ExtensionArray, name: str) -> dict[Category, int]:
    """How often each category of a column occurs."""
    places, distinct = _factorized(values, name)
    counts = np.bincount(places[places >= 0], minlength=len(distinct))
    return {_category(value, name): int(count) for value, count in zip(distinct, counts, strict=True)}


def _category(value: object, name: str) -> Category:
    """The value in canonical form: int if whole, else float, or str."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return int(number) if number.is_integer() else number
    kind = type(value).__name__
    raise TypeError(
        f"Column {name!r} holds a value that can't be a category: its type is {kind}; "
        "argument must be a string, a number or a truth value"
    )


def _frame_with(frame: pd.DataFrame, codes: dict[int, Codes]) -> pd.DataFrame:
    columns = {
        position: codes[position] if position in codes else frame.iloc[:, position].copy()
        for position in range(frame.shape[1])
    }
    result = pd.DataFrame(columns, index=frame.index, copy=False)
    result.columns = frame.columns
    return result


def _array_with(array: npt.NDArray[Any], codes: dict[int, Codes]) -> npt.NDArray[Any]:
    if len(codes) == array.shape[1]:
        dtype: np.dtype[Any] = np.dtype(np.int32)
    elif array.dtype.kind in "biuf":
        dtype = np.result_type(array.dtype, np.int32)
    else:
        dtype = np.dtype(object)
    result: npt.NDArray[Any] = np.empty(array.shape, dtype=dtype)
    for position in range(array.shape[1]):
        result[:, position] = codes.get(position, array[:, position])
    return result
