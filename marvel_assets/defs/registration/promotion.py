"""Promotion: a pair of versions, basic and custom, from one environment's catalog to the next."""

from typing import get_args

import dagster as dg
from pydantic import Field

from marvel_assets.config import Environment
from marvel_assets.defs.registration.release import APPROVED_BY, RESTORED_BY, RESTORED_WHY
from marvel_assets.registry.base import CatalogError, ModelRegistry, ModelVersion
from marvel_assets.registry.model_pairs import ALIAS, REPLACES, ROLLED_BACK, SERVING_STATUS, ModelPair, ModelPairs

OF_ONE_ENVIRONMENT = {
    REPLACES,
    SERVING_STATUS,
    ROLLED_BACK,
    RESTORED_BY,
    RESTORED_WHY,
    APPROVED_BY,
}
"""Tags about the service of a version in its own environment; they would be untrue of a copy."""

PROMOTED_FROM = "promoted_from"
PROMOTED_BY = "promoted_by"


class PromoteConfig(dg.Config):
    """What is promoted, and where to."""

    to: str | None = Field(
        default=None,
        pattern=f"^({'|'.join(get_args(Environment))})$",
        description="Environment to promote to. Default: the one after this run's own (dev, acc, prd).",
    )
    basic_version: int | None = Field(
        default=None, ge=1, description="Version of the basic model. Default: the one under the alias."
    )


def next_environment(environment: str) -> str:
    """What comes after an environment.

    Raises:
        dagster.Failure: nothing does.
    """
    order = get_args(Environment)
    place = order.index(environment)
    if place + 1 == len(order):
        raise dg.Failure(f"{environment} is the last environment; there is nowhere to promote to.", allow_retries=False)
    return str(order[place + 1])


def chosen_pair(pairs: ModelPairs, basic_version: int | None) -> ModelPair:
    """The pair of the basic version that is asked for, else the one that is served.

    Raises:
        CatalogError: there is no such pair.
    """
    if basic_version is not None:
        return pairs.for_basic_version(basic_version)
    pair = pairs.current()
    if pair is None:
        raise CatalogError(f"{pairs.custom_name} has no version under {ALIAS}; materialise custom_model_version first.")
    return pair


def promote_version(catalog: ModelRegistry, version: ModelVersion, target: str, promoted_by: str) -> ModelVersion:
    """Make the same logged model a READY version under another name, with its tags; a second call finds the first's.

    The logged model stays where it is, so that run, metrics and data versions are found from the copy as from the
    original.
    """
    kept = {key: value for key, value in version.tags.items() if key not in OF_ONE_ENVIRONMENT}
    tags = {**kept, PROMOTED_FROM: f"{version.name}/{version.version}", PROMOTED_BY: promoted_by}
    return catalog.register(target, version.model_id, tags, version.description)
