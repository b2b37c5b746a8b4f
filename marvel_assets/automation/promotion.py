"""Promotion: a pair of versions, basic and custom, from one environment's catalog to the next."""

from typing import get_args

import dagster as dg
from pydantic import Field

from marvel_assets.assets.registry import ALIAS, BASIC_MODEL, READY_SECONDS
from marvel_assets.assets.serving import CUSTOM_MODEL, WRAPS
from marvel_assets.config import Environment, ProjectConfig
from marvel_assets.resources.unity_catalog.catalog import CatalogVersion, ModelCatalog

PROMOTED_FROM = "promoted_from"
PROMOTED_BY = "promoted_by"


class PromoteConfig(dg.Config):
    """What is promoted, and where to."""

    to: str | None = Field(
        default=None, description="Environment to promote to. Default: the one after this run's own (dev, acc, prd)."
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


def pair_to_promote(
    catalog: ModelCatalog, source: ProjectConfig, basic_version: int | None
) -> tuple[CatalogVersion, CatalogVersion]:
    """The basic version that is asked for, and the newest READY custom version that wraps it.

    Raises:
        dagster.Failure: there is no such pair.
    """
    basic_name, custom_name = source.qualified(BASIC_MODEL), source.qualified(CUSTOM_MODEL)
    if basic_version is None:
        basic = catalog.version_under(basic_name, ALIAS)
        wanted = f"version under {ALIAS}"
    else:
        basic = next((known for known in catalog.versions(basic_name) if known.version == basic_version), None)
        wanted = f"version {basic_version}"
    if basic is None:
        raise dg.Failure(f"{basic_name} has no {wanted}; materialise basic_model_version first.", allow_retries=False)
    for custom in catalog.versions_tagged(custom_name, WRAPS, basic.model_id):
        if custom.status == "READY":
            return basic, custom
    raise dg.Failure(
        f"No version of {custom_name} wraps {basic_name} version {basic.version}; materialise custom_model_version.",
        allow_retries=False,
    )


def promote_version(catalog: ModelCatalog, version: CatalogVersion, target: str, promoted_by: str) -> CatalogVersion:
    """Make the same logged model a READY version under another name, with its tags; a second call finds the first's.

    The logged model stays where it is, so that run, metrics and data versions are found from the copy as from the
    original.
    """
    catalog.ensure_schema(*target.split(".")[:2])
    tags = {**version.tags, PROMOTED_FROM: f"{version.name}/{version.version}", PROMOTED_BY: promoted_by}
    copy = catalog.register(target, version.model_id, tags, version.description)
    return catalog.wait_until_ready(target, copy.version, READY_SECONDS)
