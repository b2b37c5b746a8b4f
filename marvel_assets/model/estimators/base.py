"""The interface of the kinds of classifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

Classifier = Any
"""Of scikit-learn's protocol; each kind knows its own class."""
Rows = tuple["pd.DataFrame", "pd.Series"]
"""Features and target."""


class Range(NamedTuple):
    """The values of an argument that a search tries, integers if the bounds are; ``log``: evenly by their logarithm."""

    name: str
    low: float
    high: float
    log: bool = False


class Estimator(BaseModel, ABC):
    """The arguments of one kind of classifier; those that are left out keep its defaults.

    Attributes:
        trees_argument: the argument that limits the number of trees.
        library: the distribution whose version decides a fit.
        trusted_types: what skops may construct when it loads a fitted classifier, besides what it trusts by default.
        threads_argument: the argument of ``predict`` for the number of threads; None if it uses all cores by itself.
        distributes: whether several processes can fit it together.
        takes_empty_columns: whether it can be fitted if a feature is missing in all rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    kind: str
    classifier_name: ClassVar[str]
    trees_argument: ClassVar[str]
    library: ClassVar[str]
    trusted_types: ClassVar[tuple[str, ...]]
    threads_argument: ClassVar[str | None] = None
    importance_label: ClassVar[str]
    explains: ClassVar[bool] = False
    distributes: ClassVar[bool] = False
    takes_empty_columns: ClassVar[bool] = True
    search_ranges: ClassVar[tuple[Range, ...]]

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments that are set, by name."""
        return self.model_dump(exclude={"kind"}, exclude_none=True)

    @property
    def max_trees(self) -> int:
        """The maximum number of trees."""
        return int(getattr(self, self.trees_argument))

    @staticmethod
    def trees_of(classifier: Classifier) -> int:
        """The number of trees of a fitted classifier."""
        return int(classifier.n_iter_)

    @abstractmethod
    def build(self, threads: int) -> Classifier:
        """The unfitted classifier, which fits the same trees with any number of threads."""

    @staticmethod
    @abstractmethod
    def fit_arguments(classifier: Classifier, categories: Sequence[str]) -> dict[str, Any]:
        """Arguments of ``fit`` that make it treat the codes in these columns as categories, with -1 as missing."""

    @staticmethod
    def progress_arguments(on_iteration: Callable[[int], None]) -> dict[str, Any]:  # noqa: ARG004
        """Arguments of ``fit`` that make it report the number of trees so far; none if it can't."""
        return {}

    @classmethod
    @abstractmethod
    def find_best_iteration(
        cls, classifier: Classifier, train: Rows, validation: Rows, rounds: int, categories: Sequence[str]
    ) -> int:
        """The number of trees with the smallest log loss on the validation rows; the fit stops ``rounds`` later."""

    @staticmethod
    @abstractmethod
    def staged_probabilities(
        classifier: Classifier, steps: Sequence[int], rows: pd.DataFrame, **arguments: object
    ) -> npt.NDArray[np.float64]:
        """The probabilities of class 1 with only the first trees, for each number of trees in ``steps``: (n, steps)."""

    @staticmethod
    @abstractmethod
    def importances(classifier: Classifier, rows: pd.DataFrame, target: pd.Series) -> dict[str, float]:
        """How important each feature is to a fitted classifier, by name, on encoded test rows."""

    @staticmethod
    def contributions(classifier: Classifier, rows: pd.DataFrame, **arguments: object) -> npt.NDArray[np.float64]:  # noqa: ARG004
        """Contributions of each feature to the raw score of each encoded row, and the base value: (n, features + 1)."""
        raise ValueError(
            f"{type(classifier).__name__} does not explain its answers; a model of kind lightgbm does (model.kind)."
        )
