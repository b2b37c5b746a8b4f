"""Finds the rows that a logged model was fitted or tested on."""

from typing import Literal

from marvel_assets.defs.resources import Project
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.artifacts import dataset_source
from marvel_assets.tracking.mlflow_resource import MlflowTracking


def find_dataset_input(
    run_id: str, context: Literal["training", "testing"], project: Project, tables: Tables, tracking: MlflowTracking
) -> TableVersion:
    """The table version of an MLflow run's input: the newest with the recorded content, in this home or the run's.

    Raises:
        LookupError: the run has no such input, or its rows are in neither home.
    """
    source = dataset_source(tracking.client().get_run(run_id), context)
    name = source.table.rpartition(".")[2]
    try:
        return tables.find([source.path or source.table, project.config.qualified(name)], source.content)
    except TableNotFoundError as error:
        raise TableNotFoundError(
            f"{source}, the {context} data of MLflow run {run_id}: {error} Materialise {name} from the same source "
            "again, or fit a model on the rows of this home."
        ) from error
