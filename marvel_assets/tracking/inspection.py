"""What a logged model must be able to do before it is registered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from marvel_assets.model.safe_loading import load_trusted
from marvel_assets.tracking.signature import example_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import Run


class DatasetSource(NamedTuple):
    """The table version that a run's input was read from, as the MLflow run has it.

    Attributes:
        table: ``catalog.schema.table``.
        path: the table's folder in the home that logged it, or None where a catalog knows it by name.
        version: the Delta version.
        content: the beginning of the content's hash.
    """

    table: str
    path: str | None
    version: int
    content: str

    def __str__(self) -> str:
        return f"{self.table}@v{self.version}"


def predictions_of(uri: str, features: Sequence[str]) -> list[int]:
    """Load a basic model from a URI and let it predict the example characters."""
    import tempfile

    import mlflow
    from mlflow.environment_variables import MLFLOW_ALLOW_PICKLE_DESERIALIZATION

    with tempfile.TemporaryDirectory() as folder:
        files = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
        pipeline = load_trusted(files)
        # Where MLflow may load no model of scikit-learn at all, what its loader would add can't be tried.
        is_allowed = MLFLOW_ALLOW_PICKLE_DESERIALIZATION.get()  # type: ignore[no-untyped-call]
        model: Any = mlflow.pyfunc.load_model(str(files)) if is_allowed else pipeline
    labels = model.predict(example_frame(features))
    return [int(label) for label in labels]


def answers_of(files: Path, features: Sequence[str]) -> tuple[Any, Any]:
    """Load a custom model from its files and let it answer for the example characters, as pyfunc and unwrapped."""
    import mlflow

    model = mlflow.pyfunc.load_model(str(files))
    example = example_frame(features)
    return model.predict(example), model.unwrap_python_model().predict(context=None, model_input=example)


def dataset_source(run: Run, context: Literal["training", "testing"]) -> DatasetSource:
    """The source of the run's input in a context.

    Raises:
        LookupError: the run has no such input.
    """
    for data_set in run.inputs.dataset_inputs if run.inputs else []:
        if any(tag.key == "mlflow.data.context" and tag.value == context for tag in data_set.tags):
            source = json.loads(data_set.dataset.source)
            path = source.get("path")
            # A folder is WAREHOUSE/catalog/schema/table.
            table = source.get("delta_table_name") or ".".join(Path(path).parts[-3:])
            content = data_set.dataset.digest.rpartition("-")[2]
            return DatasetSource(table, path, int(source["delta_table_version"]), content)
    raise LookupError(f"run {run.info.run_id} has no input in the context '{context}'")
