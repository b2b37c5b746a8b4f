"""The figures are those of MLflow's own evaluator."""

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.evaluation.metrics import evaluate
from marvel_assets.model.pipeline import TRUSTED_TYPES
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.fitted_rows import FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET


def test_they_equal_those_of_mlflow_models_evaluate(
    home: ProjectPaths, fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # given
    client = connect(home.mlflow_uri, home.locks)
    client.create_experiment("evaluation", home.mlflow_artifacts.as_uri())
    mlflow.set_experiment("evaluation")
    with mlflow.start_run():
        logged = mlflow.sklearn.log_model(
            fitted, name="model", serialization_format="skops", skops_trusted_types=list(TRUSTED_TYPES),
            pip_requirements=[],
        )  # fmt: skip
        mlflows = mlflow.models.evaluate(
            logged.model_uri,
            data=sets["test"],
            targets=TARGET,
            model_type="classifier",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
        ).metrics

    # when
    ours = evaluate(sets["test"][TARGET].to_numpy(), fitted.predict_proba(sets["test"][FEATURE_NAMES])[:, 1])

    # then
    shared = mlflows.keys() & ours.keys()
    assert mlflows.keys() - ours.keys() == {"score"}
    assert {name: ours[name] for name in shared} == pytest.approx({name: mlflows[name] for name in shared}, rel=1e-12)


@pytest.mark.parametrize("zeros", [0, 1])
def test_fewer_than_two_rows_of_a_class_have_no_metrics(zeros: int):
    with pytest.raises(ValueError, match=f"^{zeros} of {10 + zeros} test rows are of the rarer class; metrics need"):
        evaluate(np.repeat([0, 1], [zeros, 10]), np.full(10 + zeros, 0.9))


def test_a_probability_of_one_half_is_called_dead_as_the_classifier_does():
    # when
    figures = evaluate(np.array([1, 0, 1, 0]), np.array([0.5, 0.5, 0.51, 0.49]))

    # then
    counts = ("true_positives", "false_negatives", "true_negatives", "false_positives")
    assert [figures[name] for name in counts] == [1, 1, 2, 0]
