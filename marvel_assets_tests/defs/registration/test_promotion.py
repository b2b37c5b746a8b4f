"""Promotion: the pair that an environment serves becomes the pair of the next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from marvel_assets.defs.registration.aliases import promote
from marvel_assets.defs.resources import Project, profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import ModelRegistry
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets_tests.commands import BASIC, CUSTOM
from marvel_assets_tests.graph import failure_of, succeeded

pytestmark = pytest.mark.integration

ALIAS = "latest-model"
OF_DEV = {"judged_against", "best_served_model"}
DEV, ACC, PRD = (f"marvel_{environment}.marvel_characters" for environment in ("dev", "acc", "prd"))


@pytest.fixture
def unity_catalog(given_runs: Callable[..., ProjectPaths]) -> UnityCatalog:
    """A catalog in which dev serves a pair."""
    return profile_resources(given_runs(0.0))["unity_catalog"]


def run(
    unity_catalog: UnityCatalog, config: Path, environment: str = "dev", dataset: str | None = None, **settings: Any
) -> dg.ExecuteInProcessResult:
    project = Project(environment=environment, dataset=dataset, config_path=str(config))
    return promote.execute_in_process(
        {"ops": {"promote_pair": {"config": settings}}},
        resources={"project": project, "unity_catalog": unity_catalog},
        raise_on_error=False,
    )


def served(catalog: ModelRegistry, schema: str) -> list[str | None]:
    under = [catalog.get_version_by_alias(f"{schema}.{model}", ALIAS) for model in (BASIC, CUSTOM)]
    return [None if version is None else version.model_id for version in under]


def test_the_pair_goes_from_one_environment_to_the_next(unity_catalog: UnityCatalog, small_project: Path):
    # when: the first step twice
    registry = unity_catalog.registry()
    for _ in range(2):
        run(unity_catalog, small_project)

    # then
    assert served(registry, ACC) == served(registry, DEV)
    assert served(registry, PRD) == [None, None]

    # and when
    run(unity_catalog, small_project, "acc")

    # then
    assert served(registry, PRD) == served(registry, DEV)
    [copy] = registry.search_versions(f"{PRD}.{BASIC}")
    assert copy.tags["promoted_from"] == f"{ACC}.{BASIC}/1"


def test_another_data_set_goes_to_its_own_schema(unity_catalog: UnityCatalog, small_project: Path):
    # given: dev serves a pair of the data set that a variable chooses
    registry = unity_catalog.registry()
    other = "marvel_dev.marvel_wikia_2014"
    for model in (BASIC, CUSTOM):
        version = registry.get_version(f"{DEV}.{model}", 1)
        registry.register(f"{other}.{model}", version.model_id, version.tags, "")
    registry.set_alias(f"{other}.{CUSTOM}", ALIAS, 1)

    # when
    succeeded(run(unity_catalog, small_project, dataset="marvel_wikia_2014"))

    # then
    assert served(registry, "marvel_acc.marvel_wikia_2014") == served(registry, DEV)
    assert served(registry, ACC) == [None, None]


def test_the_copy_keeps_what_a_version_is_and_not_what_happened_to_it_in_its_own_environment(
    unity_catalog: UnityCatalog, small_project: Path
):
    # given: it took version 7's place in dev, and was rolled back there once
    registry, name = unity_catalog.registry(), f"{DEV}.{BASIC}"
    before = registry.get_version(name, 1).tags
    registry.set_tags(name, 1, {"replaces": "7", "rollback_reason": "too gloomy", "approved_by": "Ororo"})

    # when
    result = run(unity_catalog, small_project)

    # then
    [original], [copy] = (registry.search_versions(f"{schema}.{BASIC}") for schema in (DEV, ACC))
    origin = {"promoted_from": f"{name}/1", "promoted_by": result.run_id}
    assert copy.tags == {tag: value for tag, value in before.items() if tag not in OF_DEV} | origin
    assert (copy.model_id, copy.run_id, copy.description) == (original.model_id, original.run_id, original.description)


@pytest.mark.parametrize(
    ("environment", "settings", "message"),
    [
        ("dev", {"to": "dev"}, "A promotion from dev needs another environment: set `to` to acc or prd."),
        ("prd", {}, "A promotion from prd needs another environment: set `to` to dev or acc."),
        ("acc", {}, f"No version of {ACC}.{CUSTOM} has the alias latest-model yet; materialise custom_model_version"),
        ("dev", {"basic_version": 9}, f"{DEV}.{BASIC} has no version 9"),
    ],
)
def test_what_can_not_be_promoted_is_reported(
    unity_catalog: UnityCatalog, small_project: Path, environment: str, settings: dict[str, Any], message: str
):
    assert message in failure_of(run(unity_catalog, small_project, environment, **settings))
