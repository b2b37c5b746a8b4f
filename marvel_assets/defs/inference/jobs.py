"""Jobs that predict with the served model: for another table, and in a clean environment."""

import dagster as dg
from pydantic import Field

from marvel_assets.defs.inference.clean_environment import predict_in_clean_environment
from marvel_assets.defs.inference.predictions import predict_table
from marvel_assets.defs.resources import Project
from marvel_assets.registry.model_pairs import ALIAS, CUSTOM_MODEL
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.engines.base import Engine
from marvel_assets.storage.table_scan import TableNotFoundError
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking


class ScoreConfig(dg.Config):
    """Configuration of the op ``score_table``."""

    table: str = Field(
        description=(
            "catalog.schema.table of characters as delivered, with the column names of raw_characters; Alive may be "
            "absent. The predictions are written to <table>_predictions beside it."
        ),
    )


@dg.op
def score_table(
    context: dg.OpExecutionContext,
    config: ScoreConfig,
    project: Project,
    engine: dg.ResourceParam[Engine],
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> None:
    """Bring the predictions for one table up to date, as survival_predictions does for raw_characters."""
    latest = tables.latest(config.table)
    if latest is None:
        raise TableNotFoundError(
            f"{config.table}: there is no such table at {tables.location(config.table)}; expected catalog.schema.table."
        )
    name = f"{config.table}_predictions"
    _, metadata = predict_table(context.log, latest.table, name, project, engine, tables, tracking, unity_catalog)
    context.log_event(dg.AssetMaterialization(name.split("."), metadata=metadata))


@dg.job(description="Score a table with the served model, into <table>_predictions beside it.")
def score() -> None:
    """The predictions for raw_characters are an asset, survival_predictions."""
    score_table()


@dg.op
def verify_environment(context: dg.OpExecutionContext, project: Project, unity_catalog: UnityCatalog) -> None:
    """Install the custom model's requirements into a new environment, and compare its predictions there and here."""
    from marvel_assets.tracking.artifacts import answers_of, example_of

    name = project.config.qualified(CUSTOM_MODEL)
    version = unity_catalog.registry().get_version_by_alias(name, ALIAS)
    if version is None:
        raise dg.Failure(f"{name} has no version under {ALIAS}; materialise custom_model_version first.")
    uri = f"models:/{name}/{version.version}"
    context.log.info(f"Creating an environment with the requirements of {uri}")
    stores = (unity_catalog.tracking_uri, unity_catalog.registry_uri)
    with unity_catalog.files_of(version) as files:
        answer = predict_in_clean_environment(str(files), example_of(files), *stores)["predictions"]
        here, _ = answers_of(files)
    if answer != here:
        raise dg.Failure(
            f"{uri} answers {answer} in an environment with its own requirements, and {here} in this one; compare the "
            "versions in its requirements.txt with those installed here.",
            allow_retries=False,
        )
    context.log.info(f"{uri} answers {answer} there, and the same here")
    context.add_output_metadata({"model": uri, "answer": dg.MetadataValue.json(answer)})


@dg.job(description="Predict with the custom model in a clean environment made from its own requirements.")
def verify_scoring_environment() -> None:
    """Run it on demand: creating the environment takes a minute."""
    verify_environment()
