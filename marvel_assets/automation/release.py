"""What a person decides about the pair that is served: to go back to an earlier one, or to approve one that waits."""

import getpass

import dagster as dg
from pydantic import Field

from marvel_assets.assets.judging import ROLLED_BACK
from marvel_assets.resources.unity_catalog.catalog import CatalogError, ModelCatalog
from marvel_assets.resources.unity_catalog.model_pair import ALIAS, ModelPair, ModelPairs

ROLLED_BACK_BY, RESTORED_BY, RESTORED_WHY, APPROVED_BY = (
    "rolled_back_by",
    "restored_by",
    "restored_why",
    "approved_by",
)
"""Tags of versions."""


def _someone() -> str:
    """The account that runs the job."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "unknown"


PRINTED = r"^[^\x00-\x1f\x7f]+$"
"""One line: stores of tags differ on what they make of other characters."""

LONGEST_WHY, LONGEST_WHO = 500, 100


class RollbackConfig(dg.Config):
    """Which pair comes back, who wants it, and why."""

    why: str = Field(
        pattern=PRINTED, max_length=LONGEST_WHY, description="The reason in one line, noted on the versions."
    )
    who: str = Field(
        default_factory=_someone,
        pattern=PRINTED,
        max_length=LONGEST_WHO,
        description="Who decides. Default: the account that runs the job.",
    )
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the one that the present pair replaced."
    )


class ApproveConfig(dg.Config):
    """Which pair is approved, and by whom."""

    who: str = Field(
        default_factory=_someone,
        pattern=PRINTED,
        max_length=LONGEST_WHO,
        description="Who decides. Default: the account that runs the job.",
    )
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the newest."
    )


def roll_back_pair(catalog: ModelCatalog, pairs: ModelPairs, config: RollbackConfig) -> tuple[ModelPair, ModelPair]:
    """Put an earlier pair back.

    The pair that is left is noted first: a run that begins in between does not take it up again.

    Returns:
        The pair that was served, and the one that is served now.

    Raises:
        CatalogError: nothing is served, or there is no earlier pair.
    """
    left = pairs.current()
    if left is None:
        raise CatalogError(f"{pairs.custom_name} has no version under {ALIAS}; there is nothing to roll back.")
    back = pairs.before(left) if config.basic_version is None else pairs.of_basic(config.basic_version)
    if back.basic.model_id == left.basic.model_id:
        raise CatalogError(f"{pairs.basic_name} version {back.basic.version} is {ALIAS} already.")
    for version in (left.custom, left.basic):
        noted = {ROLLED_BACK: f"{config.why} ({config.who})", ROLLED_BACK_BY: config.who}
        catalog.set_tags(version.name, version.version, noted)
    for version in (back.custom, back.basic):
        noted = {RESTORED_BY: config.who, RESTORED_WHY: config.why, ROLLED_BACK: ""}
        catalog.set_tags(version.name, version.version, noted)
    pairs.move(back, left.basic.model_id, is_rollback=True)
    return left, back


def approve_pair(catalog: ModelCatalog, pairs: ModelPairs, config: ApproveConfig) -> ModelPair:
    """Put a registered pair under the alias.

    Raises:
        CatalogError: there is no such pair.
    """
    versions = catalog.versions(pairs.basic_name)
    if not versions:
        raise CatalogError(f"{pairs.basic_name} has no version to approve; materialise basic_model_version first.")
    pair = pairs.of_basic(config.basic_version or versions[0].version)
    for version in (pair.custom, pair.basic):
        catalog.set_tags(version.name, version.version, {APPROVED_BY: config.who, ROLLED_BACK: ""})
    pairs.move(pair, pairs.served_model())
    return pair
