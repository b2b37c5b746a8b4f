"""Logs the custom model in the active MLflow run."""

from collections.abc import Mapping
from pathlib import Path

import mlflow
from mlflow.entities import LoggedModelInput, Metric

from marvel_assets import model
from marvel_assets.datasets.base import Dataset
from marvel_assets.model.wrapper import ARTIFACT
from marvel_assets.tracking.artifacts import example_of
from marvel_assets.tracking.signature import custom_signature, requirements_with

CUSTOM_MODEL_NAME = "pyfunc-marvel-character-model"


def log_custom_model(
    basic_model_id: str, basic_files: Path, wheel: Path, dataset: Dataset, tags: Mapping[str, str]
) -> str:
    """Log the wrapper around a basic model, whose verified files are copied into it; return its id.

    The wheel is both a file of the model and a requirement: so it is installed where the model is served, instead of
    being added to ``sys.path``. Nothing is pickled; MLflow runs ``serving_script.py``.
    """
    target, example = dataset.target, example_of(basic_files)
    logged = mlflow.pyfunc.log_model(
        name=CUSTOM_MODEL_NAME,
        python_model=str(Path(model.__file__).with_name("serving_script.py")),
        artifacts={ARTIFACT: str(basic_files)},
        model_config={"answer": target.answer, "labels": list(target.labels)},
        code_paths=[str(wheel)],
        pip_requirements=requirements_with(wheel),
        signature=custom_signature(example.columns.tolist(), target.answer),
        input_example=example,
        tags=dict(tags),
    )
    # It predicts the same as the basic model, so it has the same metrics and data sets.
    client, own = mlflow.MlflowClient(), {"model_id": logged.model_id, "run_id": logged.run_id}
    basic = client.get_logged_model(basic_model_id)
    client.log_batch(logged.run_id, metrics=[Metric(**{**dict(metric), **own}) for metric in basic.metrics or []])
    inputs = client.get_run(str(basic.source_run_id)).inputs
    client.log_inputs(logged.run_id, inputs.dataset_inputs if inputs else None, [LoggedModelInput(logged.model_id)])
    return str(logged.model_id)
