"""Logs the basic model in the active MLflow run, with inputs, parameters, metrics and plots."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from marvel_assets.datasets.base import Dataset
from marvel_assets.evaluation import plots
from marvel_assets.evaluation.metrics import evaluate
from marvel_assets.tracking.artifacts import PLOTS_FOLDER
from marvel_assets.tracking.signature import basic_signature, example_frame, requirements_with

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.data.meta_dataset import MetaDataset
    from mlflow.data.pandas_dataset import PandasDataset
    from mlflow.entities import Metric
    from sklearn.pipeline import Pipeline

    from marvel_assets.evaluation.gate import Slice

BASIC_MODEL_NAME = "lightgbm-pipeline-model"
IMPORTANCES_FILE, SLICES_FILE = "feature_importance.json", "slices.json"

CURVE_STEPS, CURVE_ROWS = 20, 5000
"""Points of a learning curve, and rows for each."""

EXPLAINED_ROWS = 100
"""Test rows in the summary of SHAP values: each takes 8 ms with 1,000 trees."""


class DataSet(NamedTuple):
    """Features and target of one version of a Delta table, and their origin."""

    table: str
    path: str | None  # the table's folder; None for a table in the session's catalog
    version: int
    content: str  # hash of the rows
    rows: pd.DataFrame
    target: str
    is_excerpt: bool = False  # whether these are only some of the rows, for the schema

    def as_mlflow(self) -> PandasDataset | MetaDataset:
        """The data set as MLflow records it.

        MLflow stores an input once per name and digest. So the name is the whole one, since other environments have
        equal tables, and the version is part of the digest, since a table may be overwritten with equal rows. The
        version is a string, since MLflow ignores version 0.
        """
        from mlflow.data.delta_dataset_source import DeltaDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.data.pandas_dataset import from_pandas
        from mlflow.models import infer_signature
        from mlflow.types import Schema

        from marvel_assets.tracking.delta_source import DeltaFolderSource

        version: Any = str(self.version)
        source: DeltaDatasetSource
        if self.path:
            source = DeltaFolderSource(path=self.path, delta_table_version=version)
        else:
            source = DeltaDatasetSource(delta_table_name=self.table, delta_table_version=version)
        name, digest = self.table, f"v{self.version}-{self.content[:16]}"
        with warnings.catch_warnings():
            # MLflow's warning is about inferred signatures; the models' are declared.
            warnings.filterwarnings("ignore", message=".*Inferred schema contains integer column")
            # MLflow inspects every cell in Python; distinct cells are enough.
            columns = (self.rows[[column]].drop_duplicates() for column in self.rows)
            schema = Schema([spec for column in columns for spec in infer_signature(column).inputs.inputs])
        if self.is_excerpt:
            # MLflow declares `profile` abstract, and doesn't implement it in the class that it documents for this.
            return MetaDataset(source, name, digest, schema)  # type: ignore[abstract]
        data_set = from_pandas(self.rows, source, self.target, name, digest)
        data_set.schema = schema
        return data_set


def log_basic_model(
    pipeline: Pipeline,
    training: DataSet,
    testing: DataSet,
    wheel: Path,
    *,
    run_id: str,
    dataset: Dataset,
    features: Sequence[str],
    parameters: Mapping[str, Any],
    seconds: float,
    tags: Mapping[str, str],
) -> str:
    """Log the fitted pipeline in the active run, with inputs, parameters, metrics and plots; return the model's id."""
    import mlflow

    from marvel_assets.model.estimators import estimator_class
    from marvel_assets.model.pipeline import TRUSTED_TYPES, predict_unique_rows

    y_true = testing.rows[testing.target].to_numpy()
    rows = testing.rows[list(features)]
    probability = predict_unique_rows(pipeline, rows)[:, 1]
    kind, testing_input = estimator_class(pipeline), testing.as_mlflow()
    mlflow.log_params({**parameters, "trees": pipeline[-1].n_iter_, "features": ",".join(features)})
    logged = mlflow.sklearn.log_model(
        pipeline,
        name=BASIC_MODEL_NAME,
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED_TYPES),
        signature=basic_signature(features, dataset.target.name),
        input_example=example_frame(dataset, features),
        code_paths=[str(wheel)],
        pip_requirements=requirements_with(wheel),
        params={name: str(value) for name, value in parameters.items()},
        tags=dict(tags),
    )
    model = mlflow.entities.LoggedModelInput(model_id=logged.model_id)
    mlflow.log_input(training.as_mlflow(), context="training", model=model)
    mlflow.log_input(testing_input, context="testing", model=model)
    mlflow.log_metrics(evaluate(y_true, probability), model_id=logged.model_id, dataset=testing_input)
    # Through a client: MLflow's fluent functions would log them as the model's metrics.
    curves = [
        mlflow.entities.Metric("training_seconds", seconds, int(time.time() * 1000), 0),
        *_learning_curves(pipeline, training, features, "train"),
        *_learning_curves(pipeline, testing, features, "test"),
    ]
    mlflow.MlflowClient().log_batch(run_id, metrics=curves)
    encoded = pipeline[:-1].transform(rows)
    importances = kind.importances(pipeline[-1], encoded, testing.rows[testing.target])
    figures = {
        **plots.probability_plots(y_true, probability, dataset.target.labels),
        "feature_importance": plots.bar_plot(f"Feature importance ({kind.importance_label})", importances),
    }
    table = pd.DataFrame({kind.importance_label: importances})
    if kind.explains:
        values = encoded.sample(min(len(encoded), EXPLAINED_ROWS), random_state=0)
        contributions = pd.DataFrame(kind.contributions(pipeline[-1], values)[:, :-1], values.index, values.columns)
        table["mean |SHAP value|"] = contributions.abs().mean()
        figures["shap_summary"] = plots.shap_summary(contributions, values, dataset.target.labels[1])
    ranked = table.sort_values(kind.importance_label, ascending=False).rename_axis("feature").reset_index()
    mlflow.log_table(ranked, IMPORTANCES_FILE)
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"{PLOTS_FOLDER}/{name}.png")
    return str(logged.model_id)


def log_slices(client: MlflowClient, run_id: str, slices: Sequence[Slice]) -> None:
    """Log the weakest slices of a model's test rows as a table, once: MLflow would append to an existing one."""
    if slices and SLICES_FILE not in {file.path for file in client.list_artifacts(run_id)}:
        client.log_table(run_id, pd.DataFrame(slices), SLICES_FILE)


def _learning_curves(pipeline: Pipeline, data: DataSet, features: Sequence[str], prefix: str) -> list[Metric]:
    """Log loss and ROC AUC by number of trees, as metrics with steps, which MLflow plots."""
    from mlflow.entities import Metric
    from sklearn.metrics import log_loss, roc_auc_score

    from marvel_assets.model.estimators import estimator_class
    from marvel_assets.model.pipeline import predict_unique_rows

    kind, rows = estimator_class(pipeline), data.rows.sample(min(len(data.rows), CURVE_ROWS), random_state=0)
    trees, y_true = pipeline[-1].n_iter_, rows[data.target].to_numpy()
    steps = sorted({max(1, trees * part // CURVE_STEPS) for part in range(1, CURVE_STEPS + 1)})
    staged = partial(kind.staged_probabilities, pipeline[-1], steps)
    now, curves = int(time.time() * 1000), []
    for step, probability in zip(steps, predict_unique_rows(pipeline, rows[list(features)], staged).T, strict=True):
        curves.append(Metric(f"{prefix}_log_loss", float(log_loss(y_true, probability, labels=[0, 1])), now, step))
        if len(set(y_true.tolist())) > 1:  # the sample may miss a rare class
            curves.append(Metric(f"{prefix}_roc_auc", float(roc_auc_score(y_true, probability)), now, step))
    return curves
