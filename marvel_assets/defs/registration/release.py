"""What a person decides about the pair that is served: to go back to an earlier one, or to approve one that waits."""

import getpass

import dagster as dg
from pydantic import Field

from marvel_assets.registry.base import CatalogError, ModelRegistry
from marvel_assets.registry.model_pairs import ALIAS, Decision, ModelPair, ModelPairs

RESTORED_BY, RESTORED_WHY, APPROVED_BY = "restored_by", "restored_why", "approved_by"
"""Tags of versions."""


def _account() -> str:
    """The account that runs the job."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


PRINTED = r"^[^\x00-\x1f\x7f]+$"
"""One line: stores of tags differ on what they make of other characters."""

LONGEST_REASON, LONGEST_ACTOR = 500, 100


class RollbackConfig(dg.Config):
    """Which pair comes back, who wants it, and why."""

    reason: str = Field(
        pattern=PRINTED, max_length=LONGEST_REASON, description="The reason in one line, noted on the versions."
    )
    actor: str = Field(
        default_factory=_account,
        pattern=PRINTED,
        max_length=LONGEST_ACTOR,
        description="Who decides. Default: the account that runs the job.",
    )
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the one that the present pair replaced."
    )


class ApproveConfig(dg.Config):
    """Which pair is approved, and by whom."""

    actor: str = Field(
        default_factory=_account,
        pattern=PRINTED,
        max_length=LONGEST_ACTOR,
        description="Who decides. Default: the account that runs the job.",
    )
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the newest."
    )


def roll_back_pair(pairs: ModelPairs, config: RollbackConfig) -> tuple[ModelPair, ModelPair]:
    """Put an earlier pair back. No later run takes up the pair that is left again.

    Returns:
        The pair that was served, and the one that is served now.

    Raises:
        CatalogError: nothing is served, or there is no earlier pair.
    """
    pairs.reconcile_aliases()
    left = pairs.current()
    if left is None:
        raise CatalogError(f"{pairs.custom_name} has no version under {ALIAS}; there is nothing to roll back.")
    back = pairs.previous(left) if config.basic_version is None else pairs.for_basic_version(config.basic_version)
    if back.basic.model_id == left.basic.model_id:
        raise CatalogError(f"{pairs.basic_name} version {back.basic.version} is {ALIAS} already.")
    decision = Decision(
        {RESTORED_BY: config.actor, RESTORED_WHY: config.reason}, rolled_back=f"{config.reason} ({config.actor})"
    )
    pairs.promote(back, left.basic.model_id, decision)
    return left, back


def approve_pair(catalog: ModelRegistry, pairs: ModelPairs, config: ApproveConfig) -> ModelPair:
    """Put a registered pair under the alias.

    Raises:
        CatalogError: there is no such pair.
    """
    versions = catalog.search_versions(pairs.basic_name)
    if not versions:
        raise CatalogError(f"{pairs.basic_name} has no version to approve; materialise basic_model_version first.")
    pair = pairs.for_basic_version(config.basic_version or versions[0].version)
    pairs.promote(pair, pairs.champion_model_id(), Decision(tags={APPROVED_BY: config.actor}))
    return pair
