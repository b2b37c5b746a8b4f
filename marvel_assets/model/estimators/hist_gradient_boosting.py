"""scikit-learn's own gradient-boosted trees, ``HistGradientBoostingClassifier``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from marvel_assets.model.estimators.base import Classifier, Estimator, Range, Rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd


class HistGradientBoosting(Estimator):
    """Arguments of ``sklearn.ensemble.HistGradientBoostingClassifier``."""

    kind: Literal["hist_gradient_boosting"] = "hist_gradient_boosting"
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    max_iter: Annotated[int, Field(gt=0, le=100_000)] = 100
    max_leaf_nodes: Annotated[int, Field(ge=2)] | None = None
    max_depth: Annotated[int, Field(ge=1)] | None = None
    min_samples_leaf: Annotated[int, Field(ge=1)] | None = None
    l2_regularization: Annotated[float, Field(ge=0)] | None = None
    max_features: Annotated[float, Field(gt=0, le=1)] | None = None
    random_state: Annotated[int, Field(ge=0, lt=2**32)] = 0

    classifier_name = "HistGradientBoostingClassifier"
    trees_argument = "max_iter"
    library = "scikit-learn"
    trusted_types = (
        "functools.partial",  # of the next, if columns are categories
        "sklearn.utils.validation.check_array",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    )
    importance_label = "increase in log loss when shuffled"
    takes_empty_columns = False
    search_ranges = (
        Range("learning_rate", 0.005, 0.2, log=True),
        Range("max_depth", 2, 12),
        Range("max_leaf_nodes", 4, 128, log=True),
        Range("min_samples_leaf", 5, 300, log=True),
        Range("l2_regularization", 0.001, 100.0, log=True),
        Range("max_features", 0.4, 1.0),
        Range("max_iter", 50, 2000, log=True),
    )

    def build(self, threads: int) -> Classifier:  # noqa: ARG002
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(**self.parameters, early_stopping=False)

    @staticmethod
    def fit_arguments(classifier: Classifier, categories: Sequence[str]) -> dict[str, Any]:
        classifier.set_params(categorical_features=list(categories) or None)
        return {}

    @classmethod
    def find_best_iteration(
        cls, classifier: Classifier, train: Rows, validation: Rows, rounds: int, categories: Sequence[str]
    ) -> int:
        cls.fit_arguments(classifier, categories)
        classifier.set_params(early_stopping=True, n_iter_no_change=rounds, tol=0, scoring="loss")
        classifier.fit(*train, X_val=validation[0], y_val=validation[1])
        return max(1, int(classifier.validation_score_.argmax()))  # the first score is without trees

    @staticmethod
    def staged_probabilities(
        classifier: Classifier, steps: Sequence[int], rows: pd.DataFrame, **_arguments: object
    ) -> npt.NDArray[np.float64]:
        import numpy as np

        stages = enumerate(classifier.staged_predict_proba(rows), start=1)
        return np.column_stack([probability[:, 1] for step, probability in stages if step in steps])

    @staticmethod
    def importances(classifier: Classifier, rows: pd.DataFrame, target: pd.Series) -> dict[str, float]:
        """Permutation importance: the increase in log loss when a feature's cells are shuffled."""
        from sklearn.inspection import permutation_importance
        from threadpoolctl import threadpool_limits

        sample = rows.sample(min(len(rows), 5000), random_state=0)  # enough to rank ten features, and quick
        with threadpool_limits(1, user_api="openmp"):  # many small predictions, for which threads only cost time
            found = permutation_importance(
                classifier, sample, target.loc[sample.index], scoring="neg_log_loss", random_state=0
            )
        return dict(zip(rows.columns, found.importances_mean.tolist(), strict=True))
