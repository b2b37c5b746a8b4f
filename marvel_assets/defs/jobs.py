"""Jobs that a person or a schedule starts by name."""

import dagster as dg
from pydantic import Field

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.inference.clean_environment import predict_in_clean_environment
from marvel_assets.defs.inference.predictions import predict_table
from marvel_assets.defs.project import Project
from marvel_assets.defs.registration.promotion import (
    PROMOTED_FROM,
    PromoteConfig,
    chosen_pair,
    next_environment,
    promote_version,
)
from marvel_assets.defs.registration.release import ApproveConfig, RollbackConfig, approve_pair, roll_back_pair
from marvel_assets.defs.registration.served import report_served
from marvel_assets.defs.training.tuning import TuneConfig, tune_parameters
from marvel_assets.registry.model_pairs import ALIAS, CUSTOM_MODEL, Decision, ModelPair
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.engines.base import Engine
from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.storage.tables import TableNotFoundError, Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.training.study_store import StudyStore

retrain = dg.define_asset_job(
    "retrain",
    selection=dg.AssetSelection.all(),
    description="Bring every asset up to date, from the source to the custom model. What is unchanged is handed on.",
)


class ScoreConfig(dg.Config):
    """Who is scored."""

    table: str = Field(
        description=(
            "catalog.schema.table of characters as delivered, under the column names of raw_characters; Alive may be "
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
            f"{config.table}: there is no such table at {tables.location(config.table)}; name one as "
            "catalog.schema.table."
        )
    name = f"{config.table}_predictions"
    predicted = predict_table(context.log, latest.table, name, project, engine, tables, tracking, unity_catalog)
    context.log_event(dg.AssetMaterialization(name.split("."), metadata=predicted.metadata))


@dg.job(description="Score a table of characters with the served model, into <table>_predictions beside it.")
def score() -> None:
    """The predictions for raw_characters are an asset of their own, survival_predictions."""
    score_table()


@dg.op
def verify_environment(
    context: dg.OpExecutionContext, project: Project, unity_catalog: UnityCatalog, tracking: MlflowTracking
) -> None:
    """Install the custom model's requirements into a new environment, and compare what it predicts there and here."""
    from marvel_assets.tracking.inspection import answers_of
    from marvel_assets.tracking.signature import example_frame

    name = project.config.qualified(CUSTOM_MODEL)
    version = unity_catalog.catalog().version_under(name, ALIAS)
    if version is None:
        raise dg.Failure(f"{name} has no version under {ALIAS}; materialise custom_model_version first.")
    uri = f"models:/{name}/{version.version}"
    context.log.info(f"Making an environment of what {uri} requires")
    example = example_frame(project.config.features)
    stores = (unity_catalog.tracking_uri, unity_catalog.registry_uri)
    with tracking.files_of(version.model_id, uri) as files:
        answer = predict_in_clean_environment(str(files), example, *stores)["predictions"]
        here, _ = answers_of(files, project.config.features)
    if answer != here:
        raise dg.Failure(
            f"{uri} answers {answer} in an environment of its own requirements, and {here} in this one; compare the "
            "versions in its requirements.txt with those installed here.",
            allow_retries=False,
        )
    context.log.info(f"{uri} answers {answer} there, and the same here")
    context.add_output_metadata({"model": uri, "answer": dg.MetadataValue.json(answer)})


@dg.job(description="Predict with the custom model in a clean environment made from its own requirements.")
def verify_scoring_environment() -> None:
    """On demand: making the environment takes a minute."""
    verify_environment()


@dg.op
def promote_pair(
    context: dg.OpExecutionContext, config: PromoteConfig, project: Project, unity_catalog: UnityCatalog
) -> None:
    """Copy both versions first, and move both aliases when both are READY."""
    source = project.config
    target = ProjectConfig.from_yaml(project.config_path, config.to or next_environment(source.environment))
    catalog = unity_catalog.catalog()
    pair, there = chosen_pair(unity_catalog.pairs(source), config.basic_version), unity_catalog.pairs(target)
    basic, custom = (
        promote_version(catalog, version, name, promoted_by=context.run_id)
        for version, name in ((pair.basic, there.basic_name), (pair.custom, there.custom_name))
    )
    there.move(ModelPair(basic, custom), there.served_model(), Decision())
    for copy in (basic, custom):
        context.log.info(f"{copy.name} version {copy.version} is {ALIAS}, from {copy.tags[PROMOTED_FROM]}")
    context.add_output_metadata({copy.name: copy.version for copy in (basic, custom)})


@dg.job(description="Copy the pair of versions, with tags and lineage, to the next environment's catalog.")
def promote() -> None:
    """From dev to acc, or from acc to prd."""
    promote_pair()


@dg.op
def rollback_models(
    context: dg.OpExecutionContext,
    config: RollbackConfig,
    project: Project,
    unity_catalog: UnityCatalog,
    tracking: MlflowTracking,
    references: dg.ResourceParam[ReferenceIOManager],
) -> None:
    """Move both aliases back, and note the reason."""
    left, restored = roll_back_pair(unity_catalog.pairs(project.config), config)
    message = f"{ALIAS}: {restored} again, in place of {left} ({config.actor}: {config.reason})"
    _report_served(context, message, project, unity_catalog, tracking, references)


@dg.job(description="Put an earlier pair of versions back under the alias, with a reason.")
def rollback() -> None:
    """The version that is left is not taken up again by a later run of the same data."""
    rollback_models()


@dg.op
def approve_models(
    context: dg.OpExecutionContext,
    config: ApproveConfig,
    project: Project,
    unity_catalog: UnityCatalog,
    tracking: MlflowTracking,
    references: dg.ResourceParam[ReferenceIOManager],
) -> None:
    """Move both aliases to a pair that a person has looked at."""
    approved = approve_pair(unity_catalog.catalog(), unity_catalog.pairs(project.config), config)
    message = f"{ALIAS}: {approved} (approved by {config.actor})"
    _report_served(context, message, project, unity_catalog, tracking, references)


@dg.job(description="Put a registered pair under the alias: where gate.approval is manual, or after a rollback.")
def approve() -> None:
    """By default the newest pair."""
    approve_models()


def _report_served(
    context: dg.OpExecutionContext,
    message: str,
    project: Project,
    unity_catalog: UnityCatalog,
    tracking: MlflowTracking,
    references: ReferenceIOManager,
) -> None:
    """Report the pair under the alias on both assets, so that pages, the summary and scoring follow it."""
    pair = unity_catalog.pairs(project.config).current()
    if pair is None:
        raise dg.Failure(f"Nothing is under {ALIAS} any more: somebody else removed the alias just now.")
    for event in report_served(pair, message, tracking, references):
        context.log_event(event)
    context.log.info(
        f"{message}. survival_predictions follows at once where default_automation_condition_sensor is on; else "
        "materialise it."
    )
    context.add_output_metadata({"basic": pair.basic.version, "custom": pair.custom.version})


@dg.op
def tune_hyperparameters(
    context: dg.OpExecutionContext,
    config: TuneConfig,
    project: Project,
    tables: Tables,
    tracking: MlflowTracking,
    studies: StudyStore,
) -> None:
    """Cross-validate parameters on the training rows, and print the best as a block for project.yml."""
    proposal = tune_parameters(context, config, project, tables, tracking, studies)
    context.log.info(f"What to paste into {project.config_path}, if you want it:\n{proposal}")
    context.add_output_metadata({"parameters": dg.MetadataValue.md(f"```yaml\n{proposal}```")})


@dg.job(description="Search for better parameters on the training rows, and propose them; nothing is changed.")
def tune() -> None:
    """A study that is cut off goes on in the next run."""
    tune_hyperparameters()
