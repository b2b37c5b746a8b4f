"""What is missing, told before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from marvel_assets.config import ProjectConfig
    from marvel_assets.resources.engines.engine import Engine
    from marvel_assets.resources.tracking import MlflowTracking
    from marvel_assets.resources.unity_catalog.resource import UnityCatalog


class Finding(NamedTuple):
    """A part of the profile, and what it lacks: nothing where it is ready."""

    part: str
    problems: list[str]


def findings(
    config: ProjectConfig, engine: Engine, tracking: MlflowTracking, unity_catalog: UnityCatalog
) -> Iterator[Finding]:
    """Look at each part in turn. What is in this process or in the home needs no look."""
    looks: dict[str, Callable[[], list[str]]] = {
        "tables": engine.problems,
        "tracking": tracking.problems,
        "catalog": lambda: unity_catalog.problems(config.catalog_name, config.schema_name),
    }
    for part, look in looks.items():
        yield Finding(part, look())


def check_ready(config: ProjectConfig, engine: Engine, tracking: MlflowTracking, unity_catalog: UnityCatalog) -> None:
    """Stop the run where something is missing.

    Raises:
        dagster.Failure: with one sentence for each thing that is missing.
    """
    problems = [
        problem for finding in findings(config, engine, tracking, unity_catalog) for problem in finding.problems
    ]
    if problems:
        raise dg.Failure(" ".join(problems), allow_retries=False)
