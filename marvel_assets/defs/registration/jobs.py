"""Jobs that move the aliases: promote to the next environment, roll back, approve."""

import getpass
from contextlib import suppress
from typing import get_args

import dagster as dg
from pydantic import Field

from marvel_assets.config import Environment, ProjectConfig
from marvel_assets.defs.registration.assets import JUDGED_AGAINST, MODEL_ID, report_served
from marvel_assets.defs.registration.challenger import BEST_SERVED
from marvel_assets.defs.resources import Project
from marvel_assets.registry.base import RegistryError
from marvel_assets.registry.model_pairs import (
    ALIAS,
    REPLACED_VERSION,
    ROLLBACK_REASON,
    SERVING_STATUS,
    ModelPair,
    StalePairError,
)
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.tracking.mlflow_resource import MlflowTracking

RESTORED_BY, RESTORE_REASON, APPROVED_BY = "restored_by", "restore_reason", "approved_by"
PROMOTED_FROM, PROMOTED_BY = "promoted_from", "promoted_by"
"""Tags of versions."""

NOT_PROMOTED_TAGS = {
    JUDGED_AGAINST,
    BEST_SERVED,
    REPLACED_VERSION,
    SERVING_STATUS,
    ROLLBACK_REASON,
    RESTORED_BY,
    RESTORE_REASON,
    APPROVED_BY,
}
"""Tags that are about one environment, and are not copied to the next."""

ENVIRONMENTS = get_args(Environment)


def _account() -> str:
    """The account that runs the job."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # some containers' accounts have no name
        return "unknown"


class PromoteConfig(dg.Config):
    """The pair to promote, and the target environment."""

    to: str | None = Field(
        default=None,
        pattern=f"^({'|'.join(ENVIRONMENTS)})$",
        description="Environment to promote to. Default: the one after this run's (dev, acc, prd).",
    )
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the one under the alias."
    )


class ApproveConfig(dg.Config):
    """The pair to approve, and who approves it."""

    actor: str = Field(default_factory=_account, description="Who decides. Default: the account that runs the job.")
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the newest."
    )


class RollbackConfig(ApproveConfig):
    """The pair to restore, who decides it, and why."""

    reason: str = Field(min_length=1, description="The reason in one line, stored on the versions.")
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the one that the current pair replaced."
    )


@dg.op
def promote_pair(
    context: dg.OpExecutionContext, config: PromoteConfig, project: Project, unity_catalog: UnityCatalog
) -> None:
    """Copy both versions, then move both aliases.

    The copies refer to the same logged models, and so to the same run, metrics and data versions. A second promotion
    reuses the copies.
    """
    environment = config.to or _next_environment(project.config.environment)
    if environment == project.config.environment:
        raise _failure(
            f"{environment} is this run's own environment; promote to another one, or start the job approve."
        )
    target = ProjectConfig.from_yaml(project.config_path, environment, project.dataset)
    pairs, target_pairs = unity_catalog.pairs(project.config), unity_catalog.pairs(target)
    pair = pairs.for_basic_version(config.basic_version) if config.basic_version else pairs.current()
    if pair is None:
        raise _failure(f"{pairs.custom_name} has no version under {ALIAS}; materialise custom_model_version first.")
    copies = []
    for version, name in ((pair.basic, target_pairs.basic_name), (pair.custom, target_pairs.custom_name)):
        kept = {key: value for key, value in version.tags.items() if key not in NOT_PROMOTED_TAGS}
        tags = {**kept, PROMOTED_FROM: f"{version.name}/{version.version}", PROMOTED_BY: context.run_id}
        copies.append(unity_catalog.registry().register(name, version.model_id, tags, version.description))
    try:
        target_pairs.set_aliases(ModelPair(*copies), target_pairs.champion_model_id())
    except StalePairError as error:
        raise _failure(str(error)) from error
    for version, copy in zip((pair.basic, pair.custom), copies, strict=True):
        context.log.info(f"{copy.name} version {copy.version} is {ALIAS}, from {version.name}/{version.version}")
    context.add_output_metadata({copy.name: copy.version for copy in copies})


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
    """Move both aliases back, and store the reason. Later runs don't restore the replaced pair."""
    pairs = unity_catalog.pairs(project.config)
    pairs.reconcile_aliases()
    left = pairs.current()
    if left is None:
        raise _failure(f"{pairs.custom_name} has no version under {ALIAS}; there is nothing to roll back.")
    restored = pairs.for_basic_version(config.basic_version) if config.basic_version else pairs.previous(left)
    if restored.basic.model_id == left.basic.model_id:
        raise _failure(f"{pairs.basic_name} version {restored.basic.version} is {ALIAS} already.")
    tags = {RESTORED_BY: config.actor, RESTORE_REASON: config.reason}
    pairs.set_aliases(restored, left.basic.model_id, tags, rollback_reason=f"{config.reason} ({config.actor})")
    message = f"{ALIAS}: {restored} again, in place of {left} ({config.actor}: {config.reason})"
    _report_served(context, message, pairs.for_custom_version(restored.custom.version), tracking, references)


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
    """Move both aliases to a pair that a person approves, among the versions that this project registered."""
    pairs = unity_catalog.pairs(project.config)
    with suppress(RegistryError):  # approving is the way out if the alias is not at a complete pair
        pairs.reconcile_aliases()
    versions = unity_catalog.registry().search_versions(pairs.basic_name)
    own = [version.version for version in versions if version.tags.get(MODEL_ID) == version.model_id]
    asked = [number for number in own if config.basic_version in {None, number}]
    if not asked:
        named = f"version {config.basic_version}" if config.basic_version else "version"
        raise _failure(
            f"{pairs.basic_name} has no {named} that basic_model_version has registered; it has "
            f"{', '.join(map(str, own)) or 'none'}."
        )
    approved = pairs.for_basic_version(asked[0])
    if not pairs.set_aliases(approved, pairs.champion_model_id(), {APPROVED_BY: config.actor}):
        raise _failure(
            f"{approved} are {ALIAS} already; choose another: marvel approve --set basic_version=<number>. "
            f"Versions of {pairs.basic_name}: {', '.join(map(str, own))}."
        )
    message = f"{ALIAS}: {approved} (approved by {config.actor})"
    _report_served(context, message, pairs.for_custom_version(approved.custom.version), tracking, references)


@dg.job(description="Put a registered pair under the alias: if gate.approval is manual, or after a rollback.")
def approve() -> None:
    """Point the aliases at the newest pair, or at the configured one."""
    approve_models()


def _next_environment(environment: str) -> str:
    following = ENVIRONMENTS[ENVIRONMENTS.index(environment) + 1 :]
    if not following:
        raise _failure(f"{environment} is the last environment; there is nowhere to promote to.")
    return str(following[0])


def _failure(message: str) -> dg.Failure:
    return dg.Failure(message, allow_retries=False)


def _report_served(
    context: dg.OpExecutionContext,
    message: str,
    pair: ModelPair,
    tracking: MlflowTracking,
    references: ReferenceIOManager,
) -> None:
    """Report the pair that is served now: on both assets' pages, in their references and in the log."""
    for event in report_served(pair, message, tracking, references):
        context.log_event(event)
    context.log.info(
        f"{message}. If default_automation_condition_sensor is on, survival_predictions is updated automatically; "
        "otherwise materialise it."
    )
    context.add_output_metadata({"basic": pair.basic.version, "custom": pair.custom.version})
