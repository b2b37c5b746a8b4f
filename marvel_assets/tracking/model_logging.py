"""Logs the basic model in the active MLflow run, with inputs, parameters, metrics and plots."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mlflow
import pandas as pd
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import LoggedModelInput, Metric
from mlflow.models import infer_signature
from mlflow.types import Schema
from sklearn.metrics import log_loss, roc_auc_score

from marvel_assets.evaluation import plots
from marvel_assets.evaluation.metrics import evaluate, minority_count
from marvel_assets.model.estimators import estimator_class
from marvel_assets.model.pipeline import TRUSTED_TYPES, predict_unique_rows
from marvel_assets.tracking.artifacts import PLOTS_FOLDER
from marvel_assets.tracking.delta_source import DeltaFolderSource
from marvel_assets.tracking.signature import basic_signature, example_frame, requirements_with

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from marvel_assets.config import ProjectConfig
    from marvel_assets.evaluation.gate import Slice
    from marvel_assets.storage.pipeline_cache import FittedPipeline
    from marvel_assets.storage.references import TableVersion

BASIC_MODEL_NAME = "lightgbm-pipeline-model"
IMPORTANCES_FILE, SLICES_FILE = "feature_importance.json", "slices.json"

CURVE_STEPS, CURVE_ROWS = 20, 5000  # points of a learning curve, and rows for each
EXPLAINED_ROWS = 100  # test rows in the summary of SHAP values: each takes 8 ms with 1,000 trees


class DataSet(NamedTuple):
    """Features and target of one version of a Delta table, or an excerpt for the schema, and their origin."""

    table: TableVersion
    path: str | None  # the table's folder; None for a table in the session's catalog
    rows: pd.DataFrame

    def as_mlflow(self) -> MetaDataset:
        """The data set as MLflow records it.

        MLflow stores an input once per name and digest. So the name is the whole one, since other environments have
        equal tables, and the version is part of the digest, since a table may be overwritten with equal rows. The
        version is a string, since MLflow ignores version 0.
        """
        version: Any = str(self.table.version)
        source: DeltaDatasetSource
        if self.path:
            source = DeltaFolderSource(path=self.path, delta_table_version=version)
        else:
            source = DeltaDatasetSource(delta_table_name=self.table.name, delta_table_version=version)
        with warnings.catch_warnings():
            # MLflow's warning is about inferred signatures; the models' are declared.
            warnings.filterwarnings("ignore", message=".*Inferred schema contains integer column")
            # MLflow inspects every cell in Python; distinct cells are enough.
            columns = (self.rows[[column]].drop_duplicates() for column in self.rows)
            schema = Schema([spec for column in columns for spec in infer_signature(column).inputs.inputs])
        digest = f"v{version}-{self.table.content[:16]}"
        # MLflow declares `profile` abstract, and doesn't implement it in the class that it documents for this.
        return MetaDataset(source, self.table.name, digest, schema)  # type: ignore[abstract]


def log_basic_model(
    fitted: FittedPipeline,
    training: DataSet,
    testing: DataSet,
    wheel: Path,
    settings: ProjectConfig,
    tags: Mapping[str, str],
) -> str:
    """Log the fitted pipeline in the active run, with inputs, parameters, metrics and plots; return the model's id."""
    pipeline, features, labels = fitted.pipeline, list(settings.features), settings.dataset.target.labels
    classifier, kind, testing_input = pipeline[-1], estimator_class(pipeline), testing.as_mlflow()
    rows, y_true = testing.rows[features], testing.rows[settings.target]
    probability = predict_unique_rows(pipeline, rows)[:, 1]
    seed = classifier.get_params()["random_state"]
    parameters = {
        **fitted.parameters,
        "seed": "default" if seed is None else seed,
        "threads": fitted.threads,
        "sample": fitted.sample,
        "train_set": f"v{training.table.version}",
        "test_set": f"v{testing.table.version}",
        "trees": kind.trees_of(classifier),
        "features": ",".join(features),
    }
    mlflow.log_params(parameters)  # of the run, which a model that is logged in it takes over
    logged = mlflow.sklearn.log_model(
        pipeline,
        name=BASIC_MODEL_NAME,
        serialization_format="skops",
        skops_trusted_types=list(TRUSTED_TYPES),
        signature=basic_signature(features, settings.target),
        input_example=example_frame(settings.dataset, features),
        code_paths=[str(wheel)],
        pip_requirements=requirements_with(wheel),
        tags=dict(tags),
    )
    model = LoggedModelInput(model_id=logged.model_id)
    mlflow.log_input(training.as_mlflow(), context="training", model=model)
    mlflow.log_input(testing_input, context="testing", model=model)
    mlflow.log_metrics(evaluate(y_true.to_numpy(), probability), model_id=logged.model_id, dataset=testing_input)
    curves = [
        Metric("training_seconds", fitted.seconds, int(time.time() * 1000), 0),
        *_learning_curves(pipeline, training.rows, settings, "train"),
        *_learning_curves(pipeline, testing.rows, settings, "test"),
    ]
    # Through a client: MLflow's fluent functions would log them as the model's metrics.
    mlflow.MlflowClient().log_batch(logged.run_id, metrics=curves)
    encoded = pipeline[:-1].transform(rows)
    importances = kind.importances(classifier, encoded, y_true)
    figures = {
        **plots.probability_plots(y_true.to_numpy(), probability, labels),
        "feature_importance": plots.bar_plot(f"Feature importance ({kind.importance_label})", importances),
    }
    table = pd.DataFrame({kind.importance_label: importances})
    if kind.explains:
        values = encoded.sample(min(len(encoded), EXPLAINED_ROWS), random_state=0)
        contributions = pd.DataFrame(kind.contributions(classifier, values)[:, :-1], values.index, values.columns)
        table["mean |SHAP value|"] = contributions.abs().mean()
        figures["shap_summary"] = plots.shap_summary(contributions, values, labels[1])
    ranked = table.sort_values(kind.importance_label, ascending=False).rename_axis("feature").reset_index()
    mlflow.log_table(ranked, IMPORTANCES_FILE)
    for name, figure in figures.items():
        mlflow.log_figure(figure, f"{PLOTS_FOLDER}/{name}.png")
    return str(logged.model_id)


def log_slices(client: mlflow.MlflowClient, run_id: str, slices: Sequence[Slice]) -> None:
    """Log the weakest slices of a model's test rows as a table, once: MLflow would append to an existing one."""
    if slices and SLICES_FILE not in {file.path for file in client.list_artifacts(run_id)}:
        client.log_table(run_id, pd.DataFrame(slices), SLICES_FILE)


def _learning_curves(pipeline: Pipeline, rows: pd.DataFrame, settings: ProjectConfig, prefix: str) -> list[Metric]:
    """Log loss and ROC AUC by number of trees, as metrics with steps, which MLflow plots."""
    sample = rows.sample(min(len(rows), CURVE_ROWS), random_state=0)
    y_true = sample[settings.target].to_numpy()
    if minority_count(y_true) == 0:  # the sample may miss a rare class
        return []
    trees = estimator_class(pipeline).trees_of(pipeline[-1])
    steps = sorted({max(1, trees * part // CURVE_STEPS) for part in range(1, CURVE_STEPS + 1)})
    staged = partial(estimator_class(pipeline).staged_probabilities, pipeline[-1], steps)
    probabilities, now = predict_unique_rows(pipeline, sample[list(settings.features)], staged), int(time.time() * 1000)
    return [
        Metric(f"{prefix}_{name}", float(score(y_true, probability)), now, step)
        for step, probability in zip(steps, probabilities.T, strict=True)
        for name, score in (("log_loss", log_loss), ("roc_auc", roc_auc_score))
    ]
