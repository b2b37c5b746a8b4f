"""Jobs that move models: to the next environment, back to an earlier pair, or on to one that waits for approval."""

import dagster as dg

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.registration.promotion import (
    PROMOTED_FROM,
    PromoteConfig,
    chosen_pair,
    next_environment,
    promote_version,
)
from marvel_assets.defs.registration.release import ApproveConfig, RollbackConfig, approve_pair, roll_back_pair
from marvel_assets.defs.registration.served import report_served
from marvel_assets.defs.resources import Project
from marvel_assets.registry.model_pairs import ALIAS, Decision, ModelPair
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.tracking.mlflow_resource import MlflowTracking


@dg.op
def promote_pair(
    context: dg.OpExecutionContext, config: PromoteConfig, project: Project, unity_catalog: UnityCatalog
) -> None:
    """Copy both versions first, and move both aliases when both are READY."""
    source = project.config
    target = ProjectConfig.from_yaml(project.config_path, config.to or next_environment(source.environment))
    catalog = unity_catalog.registry()
    pair, there = chosen_pair(unity_catalog.pairs(source), config.basic_version), unity_catalog.pairs(target)
    basic, custom = (
        promote_version(catalog, version, name, promoted_by=context.run_id)
        for version, name in ((pair.basic, there.basic_name), (pair.custom, there.custom_name))
    )
    there.promote(ModelPair(basic, custom), there.champion_model_id(), Decision())
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
    approved = approve_pair(unity_catalog.registry(), unity_catalog.pairs(project.config), config)
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
