"""Checks before a run trains anything: settings, servers, disk."""

from itertools import chain

import dagster as dg

from marvel_assets.config import ProjectConfig
from marvel_assets.defs import disk_space
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.engines.base import Engine
from marvel_assets.tracking.mlflow_resource import MlflowTracking


def check_settings(home: ProjectPaths) -> None:
    """Validate all configuration files and variables.

    Raises:
        ConfigError: naming the file and the key, or the variable.
    """
    _ = profile_resources(home)["project"].config


def readiness_checks(
    config: ProjectConfig, engine: Engine, tracking: MlflowTracking, unity_catalog: UnityCatalog
) -> dict[str, list[str]]:
    """The problems of each part of the profile; an empty list for a part that is ready."""
    return {
        "home": disk_space.check(ProjectPaths.from_environment()),
        "tables": engine.problems(),
        "tracking": tracking.problems(),
        "catalog": unity_catalog.problems(config.catalog_name, config.schema_name),
    }


def check_ready(config: ProjectConfig, engine: Engine, tracking: MlflowTracking, unity_catalog: UnityCatalog) -> None:
    """Fail the run if something is missing, and create the registered model, before anything is trained.

    Raises:
        dagster.Failure: with a sentence for each problem.
    """
    from marvel_assets.registry.base import RegistryError
    from marvel_assets.registry.model_pairs import BASIC_MODEL

    if problems := [*chain.from_iterable(readiness_checks(config, engine, tracking, unity_catalog).values())]:
        raise dg.Failure(" ".join(problems))
    try:
        unity_catalog.ensure_model(config.qualified(BASIC_MODEL))
    except RegistryError as error:
        raise dg.Failure(str(error)) from error
