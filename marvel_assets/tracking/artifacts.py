"""Reads what was logged: the files of models, their metrics and predictions, and the data sets of runs."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from marvel_assets.model.safe_loading import digest_of_files, load_trusted

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.entities import LoggedModel, Run

FILES_DIGEST = "files_sha256"  # tag of a logged model: the digest of its files as they were logged
PLOTS_FOLDER = "plots"


class ModelFilesChangedError(RuntimeError):
    """A model's files have changed since they were logged, or are missing."""


@contextmanager
def downloaded(uri: str) -> Iterator[Path]:
    """A temporary copy of the files of a model at an MLflow URI."""
    import mlflow

    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "model")  # a custom model has its basic model in a folder of this name
        folder.mkdir()
        yield Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))


def remove_bytecode(folder: Path) -> None:
    """Remove what Python writes beside a script when MLflow loads a model in place, and would run instead of it."""
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache, ignore_errors=True)  # what is not a folder is no bytecode


@contextmanager
def checked_files(uri: str, model_id: str, digest: str) -> Iterator[Path]:
    """A temporary copy of a model's files, verified against the digest from when it was logged.

    Raises:
        ModelFilesChangedError: the files are missing, or differ.
    """
    with downloaded(uri) as folder:
        found = digest_of_files(folder)
        if found != digest:
            remove_bytecode(folder)
            found = digest_of_files(folder)
        if found != digest:
            raise ModelFilesChangedError(
                f"{uri}: the files are not those that were logged as {model_id}: SHA-256 {found}, expected "
                f"{digest or f'that of the tag {FILES_DIGEST}, which is missing'}. They were not loaded. Restore the "
                f"files or, with the job rollback, an earlier pair; or delete the logged model {model_id} and "
                "materialise again."
            )
        yield folder


def example_of(files: Path) -> pd.DataFrame:
    """The input example that was logged with a model: it has the model's own features, whatever the configuration."""
    from mlflow.models import Model

    return cast("pd.DataFrame", Model.load(str(files)).load_input_example(str(files)))


def example_predictions(uri: str) -> list[int]:
    """A basic model's predictions for its input example."""
    import mlflow
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION

    with downloaded(uri) as files:
        model: Any = load_trusted(files)
        if MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get():  # type: ignore[no-untyped-call]
            model = mlflow.pyfunc.load_model(str(files))  # as users load it
        return [int(label) for label in model.predict(example_of(files))]


def example_answers(files: Path) -> tuple[Any, Any]:
    """A custom model's answers for its input example, as pyfunc and unwrapped."""
    import mlflow

    model, example = mlflow.pyfunc.load_model(str(files)), example_of(files)
    return model.predict(example), model.unwrap_python_model().predict(context=None, model_input=example)


def metrics_of(model: LoggedModel) -> dict[str, float]:
    """The metrics that were logged with a model, by name."""
    return {metric.key: metric.value for metric in model.metrics or []}


class DatasetSource(NamedTuple):
    """The table version that a run's input was read from, as MLflow recorded it."""

    table: str
    path: str | None  # the folder in the home that logged it; None for a table in a catalog
    version: str
    content: str  # the beginning of the hash

    def __str__(self) -> str:
        return f"{self.table}@{self.version}"


def dataset_source(run: Run, context: Literal["training", "testing"]) -> DatasetSource:
    """The source of the run's input in a context.

    Raises:
        LookupError: the run has no such input.
    """
    for data_set in run.inputs.dataset_inputs if run.inputs else []:
        if context in {tag.value for tag in data_set.tags}:
            recorded = data_set.dataset
            version, _, content = recorded.digest.partition("-")  # such as v0-0123456789abcdef
            return DatasetSource(recorded.name, json.loads(recorded.source).get("path"), version, content)
    raise LookupError(f"run {run.info.run_id} has no input in the context '{context}'")
