"""The jobs that move the aliases (promote, rollback, approve), and the sensor that reconciles them."""

import getpass
from contextlib import suppress
from itertools import pairwise
from typing import get_args

import dagster as dg
from pydantic import Field

from marvel_assets.config import Environment, ProjectConfig
from marvel_assets.defs.registration.assets import JUDGED_AGAINST, reconcile_and_report, report_served, served_pair
from marvel_assets.defs.registration.challenger import BEST_SERVED
from marvel_assets.defs.resources import Project
from marvel_assets.registry.base import RegistryError
from marvel_assets.registry.model_pairs import ALIAS, REPLACED_VERSION, ROLLBACK_REASON, SERVING_STATUS, ModelPair
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.references import ReferenceIOManager
from marvel_assets.tracking.mlflow_resource import MlflowTracking

RESTORED_BY, RESTORE_REASON, APPROVED_BY = "restored_by", "restore_reason", "approved_by"
TAGS_NOT_PROMOTED = {JUDGED_AGAINST, BEST_SERVED, REPLACED_VERSION, SERVING_STATUS, ROLLBACK_REASON}
TAGS_NOT_PROMOTED |= {RESTORED_BY, RESTORE_REASON, APPROVED_BY}
"""Tags that record what happened to a version in its own environment; they are not copied to the next."""

ENVIRONMENTS = get_args(Environment)
PREDICTIONS_FOLLOW = "survival_predictions follows if default_automation_condition_sensor is on; else materialise it."


def _account() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # some containers' accounts have no name
        return "unknown"


class PromoteConfig(dg.Config):
    """The pair to promote, and the target environment."""

    to: str | None = Field(default=None, pattern="^(dev|acc|prd)$", description="Environment. Default: the next one.")
    basic_version: int | None = Field(default=None, ge=1, description="Of the basic model. Default: the served pair's.")


class ApproveConfig(dg.Config):
    """The pair to approve, and who approves it."""

    actor: str = Field(default_factory=_account, description="Who decides. Default: the account that runs the job.")
    basic_version: int | None = Field(default=None, ge=1, description="Of the basic model. Default: the newest.")


class RollbackConfig(ApproveConfig):
    """The pair to restore, who decides it, and why."""

    reason: str = Field(min_length=1, description="The reason in one line, stored on the versions.")
    basic_version: int | None = Field(default=None, ge=1, description="Of the basic model. Default: the one before.")


@dg.op
def promote_pair(
    context: dg.OpExecutionContext, config: PromoteConfig, project: Project, unity_catalog: UnityCatalog
) -> None:
    """Copy both versions, which keep their logged models and so their runs and data versions; then move both aliases.

    A second promotion reuses the copies.
    """
    own = project.config.environment
    environment = config.to or dict(pairwise(ENVIRONMENTS)).get(own, own)
    if environment == own:
        others = " or ".join(each for each in ENVIRONMENTS if each != own)
        raise dg.Failure(f"A promotion from {own} needs another environment: set `to` to {others}.")
    target = unity_catalog.pairs(ProjectConfig.from_yaml(project.config_path, environment, project.dataset))
    pairs = unity_catalog.pairs(project.config)
    pair = pairs.for_basic_version(config.basic_version) if config.basic_version else served_pair(pairs)
    copies = []
    for version, name in zip(pair, (target.basic_name, target.custom_name), strict=True):
        tags = {key: value for key, value in version.tags.items() if key not in TAGS_NOT_PROMOTED}
        tags |= {"promoted_from": f"{version.name}/{version.version}", "promoted_by": context.run_id}
        copies.append(unity_catalog.registry().register(name, version.model_id, tags, version.description))
    promoted = ModelPair(*copies)
    target.set_aliases(promoted, expected=None)
    context.log.info(f"{ALIAS} in {environment}: {promoted}, from {pair} in {own}")


@dg.job(description="Copy the pair of versions, with tags and lineage, to the next environment's catalog.")
def promote() -> None:
    """From dev to acc, or from acc to prd, unless ``to`` names another environment."""
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
    """Move both aliases back, and store the reason."""
    pairs = unity_catalog.pairs(project.config)
    pairs.reconcile_aliases()
    served = served_pair(pairs)
    target = pairs.for_basic_version(config.basic_version) if config.basic_version else pairs.previous(served)
    tags = {RESTORED_BY: config.actor, RESTORE_REASON: config.reason}
    if not pairs.set_aliases(target, served.basic.model_id, tags, rollback_reason=f"{config.reason} ({config.actor})"):
        raise dg.Failure(f"{target} are {ALIAS} already.")
    message = f"{ALIAS}: {target} again, in place of {served} ({config.actor}: {config.reason})"
    for event in report_served(pairs.for_custom_version(target.custom.version), message, tracking, references):
        context.log_event(event)
    context.log.info(f"{message}. {PREDICTIONS_FOLLOW}")


@dg.job(description="Put an earlier pair of versions back under the alias, with a reason.")
def rollback() -> None:
    """A later run with the same data doesn't restore the replaced version."""
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
    """Move both aliases to a pair that a person approves."""
    pairs = unity_catalog.pairs(project.config)
    with suppress(RegistryError):  # approving is the way out if the alias is not at a complete pair
        pairs.reconcile_aliases()
    target = pairs.for_basic_version(config.basic_version)
    if not pairs.set_aliases(target, None, {APPROVED_BY: config.actor}):
        raise dg.Failure(f"{target} are {ALIAS} already; choose another: marvel approve --set basic_version=<number>.")
    message = f"{ALIAS}: {target} (approved by {config.actor})"
    for event in report_served(pairs.for_custom_version(target.custom.version), message, tracking, references):
        context.log_event(event)
    context.log.info(f"{message}. {PREDICTIONS_FOLLOW}")


@dg.job(description="Put a registered pair under the alias: if gate.approval is manual, or after a rollback.")
def approve() -> None:
    """Point the aliases at the newest pair, or at the configured one."""
    approve_models()


@dg.sensor(
    minimum_interval_seconds=60,
    description="Moves the basic alias to match the custom one; reports the served pair, also after a move elsewhere.",
)
def alias_reconciliation_sensor(
    context: dg.SensorEvaluationContext,
    project: Project,
    unity_catalog: UnityCatalog,
    tracking: MlflowTracking,
    references: dg.ResourceParam[ReferenceIOManager],
) -> dg.SensorResult:
    """Reconcile in the tick itself: moving one alias needs no run."""
    pairs = unity_catalog.pairs(project.config)
    if events := reconcile_and_report(context, pairs, tracking, references):
        return dg.SensorResult(skip_reason=events[0].description, asset_events=events)
    current = pairs.current()
    return dg.SensorResult(skip_reason=f"Both aliases are at {current}." if current else f"Nothing is {ALIAS} yet.")
