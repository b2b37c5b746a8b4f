"""LightGBM's gradient-boosted trees: the project's default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from marvel_assets.model.estimators.base import Classifier, Estimator, Range, Rows

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

Int32 = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""LightGBM's integers have 32 bits, signed."""


class LightGBM(Estimator):
    """Arguments of ``lightgbm.LGBMClassifier``."""

    kind: Literal["lightgbm"] = "lightgbm"
    learning_rate: Annotated[float, Field(gt=0)]
    n_estimators: Annotated[int, Field(gt=0, le=100_000)]
    max_depth: Int32
    num_leaves: Annotated[int, Field(ge=2, le=131_072)] | None = None
    min_child_samples: Annotated[Int32, Field(ge=0)] | None = None
    subsample: Annotated[float, Field(gt=0, le=1)] | None = None
    subsample_freq: Annotated[Int32, Field(ge=0)] | None = None
    colsample_bytree: Annotated[float, Field(gt=0, le=1)] | None = None
    reg_alpha: Annotated[float, Field(ge=0)] | None = None
    reg_lambda: Annotated[float, Field(ge=0)] | None = None
    random_state: Int32 | None = None

    classifier_name = "LGBMClassifier"
    trees_argument = "n_estimators"
    library = "lightgbm"
    trusted_types = ("collections.OrderedDict", "lightgbm.basic.Booster", "lightgbm.sklearn.LGBMClassifier")
    threads_argument = "num_threads"
    importance_label = "share of gain"
    explains = True
    distributes = True
    search_ranges = (
        Range("learning_rate", 0.005, 0.2, log=True),
        Range("max_depth", 2, 12),
        Range("num_leaves", 4, 128, log=True),
        Range("min_child_samples", 5, 300, log=True),
        Range("subsample", 0.5, 1.0),
        Range("subsample_freq", 1, 1),
        Range("colsample_bytree", 0.4, 1.0),
        Range("reg_lambda", 0.001, 100.0, log=True),
        Range("n_estimators", 50, 2000, log=True),
    )

    def build(self, threads: int) -> Classifier:
        from lightgbm import LGBMClassifier

        # Without force_row_wise, LightGBM times both methods, and may choose differently in each run.
        settings: dict[str, Any] = {"n_jobs": threads, "deterministic": True, "force_row_wise": True, "verbosity": -1}
        return LGBMClassifier(**self.parameters, **settings)

    @staticmethod
    def fit_arguments(classifier: Classifier, categories: Sequence[str]) -> dict[str, Any]:  # noqa: ARG004
        return {"categorical_feature": list(categories) or "auto"}

    @staticmethod
    def progress_arguments(on_iteration: Callable[[int], None]) -> dict[str, Any]:
        return {"callbacks": [lambda state: on_iteration(state.iteration + 1)]}

    @classmethod
    def find_best_iteration(
        cls, classifier: Classifier, train: Rows, validation: Rows, rounds: int, categories: Sequence[str]
    ) -> int:
        import lightgbm

        stop = lightgbm.early_stopping(rounds, verbose=False)
        evaluated = {"eval_X": validation[0], "eval_y": validation[1], "eval_metric": "binary_logloss"}
        classifier.fit(*train, **evaluated, callbacks=[stop], **cls.fit_arguments(classifier, categories))
        return int(classifier.best_iteration_)

    @staticmethod
    def staged_probabilities(
        classifier: Classifier, steps: Sequence[int], rows: pd.DataFrame, **arguments: object
    ) -> npt.NDArray[np.float64]:
        import numpy as np

        raw = [  # each tree predicts once
            classifier.predict(rows, raw_score=True, start_iteration=start, num_iteration=step - start, **arguments)
            for start, step in pairwise([0, *steps])
        ]
        return np.asarray(1 / (1 + np.exp(-np.cumsum(raw, axis=0)))).T

    @staticmethod
    def importances(classifier: Classifier, rows: pd.DataFrame, target: pd.Series) -> dict[str, float]:  # noqa: ARG004
        """Each feature's share of the total gain of all splits."""
        gain = classifier.booster_.feature_importance(importance_type="gain")
        total = gain.sum() or 1.0  # 0 without any split
        return dict(zip(classifier.booster_.feature_name(), (gain / total).tolist(), strict=True))

    @staticmethod
    def contributions(classifier: Classifier, rows: pd.DataFrame, **arguments: object) -> npt.NDArray[np.float64]:
        """Exact SHAP values, computed by LightGBM."""
        shap_values: npt.NDArray[np.float64] = classifier.predict(rows, pred_contrib=True, **arguments)
        return shap_values
