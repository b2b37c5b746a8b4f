"""Reads what was logged: the files of models, their predictions, and the data sets of runs."""

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
    from mlflow.entities import Run

FILES_DIGEST = "files_sha256"
"""Tag of a logged model: the digest of its files as they were logged."""

PLOTS_FOLDER = "plots"


class ModelFilesChangedError(RuntimeError):
    """A model's files have changed since they were logged, or are missing."""


@contextmanager
def checked_files(uri: str, model_id: str, digest: str) -> Iterator[Path]:
    """A temporary copy of a model's files, verified against the digest from when it was logged.

    Args:
        uri: of the logged model, or of a registered version.
        model_id: of the logged model.
        digest: the value of its tag ``FILES_DIGEST``.

    Raises:
        ModelFilesChangedError: the files are missing, or differ.
    """
    with _downloaded(uri) as folder:
        if not any(folder.iterdir()):
            raise ModelFilesChangedError(
                f"{uri}: its files are missing; they were logged as {model_id}. Restore them, or delete that logged "
                "model and materialise again."
            )
        found = digest_of_files(folder)
        if found != digest:
            _remove_bytecode(folder)
            found = digest_of_files(folder)
        if found != digest:
            raise ModelFilesChangedError(
                f"{uri}: the files are not those that were logged as {model_id}: SHA-256 {found}, expected "
                f"{digest or 'the one on its tag ' + FILES_DIGEST + ', which it lacks'}. They were not loaded. "
                f"Restore an earlier pair with the job rollback, or delete the logged model {model_id} and "
                "materialise again."
            )
        yield folder


def digest_at(uri: str) -> str:
    """The digest of a model's files at an MLflow URI, without bytecode."""
    with _downloaded(uri) as folder:
        _remove_bytecode(folder)
        return digest_of_files(folder)


def _remove_bytecode(folder: Path) -> None:
    """Remove what Python writes beside a script when MLflow loads a model in place, and would run instead of it."""
    for cache in folder.rglob("__pycache__"):
        shutil.rmtree(cache)


@contextmanager
def _downloaded(uri: str) -> Iterator[Path]:
    import mlflow

    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "model")  # a custom model has its basic model in a folder of this name
        folder.mkdir()
        yield Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))


def example_of(files: Path) -> pd.DataFrame:
    """The input example that was logged with a model: it has the model's own features, whatever the configuration."""
    from mlflow.models import Model

    return cast("pd.DataFrame", Model.load(str(files)).load_input_example(str(files)))


def example_predictions(uri: str) -> list[int]:
    """A basic model's predictions for its input example."""
    import mlflow
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION

    with _downloaded(uri) as files:
        pipeline = load_trusted(files)
        # If MLflow may not load scikit-learn models at all, its loader can't be tested.
        mlflow_may_load = MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get()  # type: ignore[no-untyped-call]
        model: Any = mlflow.pyfunc.load_model(str(files)) if mlflow_may_load else pipeline
        labels = model.predict(example_of(files))
    return [int(label) for label in labels]


def example_answers(files: Path) -> tuple[Any, Any]:
    """A custom model's answers for its input example, as pyfunc and unwrapped."""
    import mlflow

    model, example = mlflow.pyfunc.load_model(str(files)), example_of(files)
    return model.predict(example), model.unwrap_python_model().predict(context=None, model_input=example)


class DatasetSource(NamedTuple):
    """The table version that a run's input was read from, as MLflow recorded it."""

    table: str
    path: str | None  # the folder in the home that logged it; None for a table in a catalog
    version: int
    content: str  # the beginning of the hash

    def __str__(self) -> str:
        return f"{self.table}@v{self.version}"


def dataset_source(run: Run, context: Literal["training", "testing"]) -> DatasetSource:
    """The source of the run's input in a context.

    Raises:
        LookupError: the run has no such input.
    """
    for data_set in run.inputs.dataset_inputs if run.inputs else []:
        if any(tag.key == "mlflow.data.context" and tag.value == context for tag in data_set.tags):
            read, source = data_set.dataset, json.loads(data_set.dataset.source)
            content = read.digest.rpartition("-")[2]
            return DatasetSource(read.name, source.get("path"), int(source["delta_table_version"]), content)
    raise LookupError(f"run {run.info.run_id} has no input in the context '{context}'")
