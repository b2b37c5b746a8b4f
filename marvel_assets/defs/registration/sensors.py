"""The sensor that sees to it that both aliases are at one pair."""

import dagster as dg

from marvel_assets.defs.project import Project
from marvel_assets.registry.base import CatalogError
from marvel_assets.registry.model_pairs import ALIAS
from marvel_assets.registry.resource import UnityCatalog

SECONDS_BETWEEN_LOOKS = 60


@dg.sensor(
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    description="Brings the basic alias after the custom one, where a run was killed between the two moves.",
)
def aliases_agree(context: dg.SensorEvaluationContext, project: Project, unity_catalog: UnityCatalog) -> dg.SkipReason:
    """Heal at once: it is one alias, and needs no run."""
    from mlflow.exceptions import MlflowException

    pairs = unity_catalog.pairs(project.config)
    try:
        healed = pairs.heal()
        current = pairs.current()
    except (CatalogError, MlflowException) as error:
        return dg.SkipReason(f"The aliases can't be looked at: {' '.join(str(error).split())}")
    if healed is not None:
        context.log.info(f"{ALIAS} did not agree; both aliases are at {healed} now")
        return dg.SkipReason(f"Healed: both aliases are at {healed} now.")
    return dg.SkipReason(f"Both aliases are at {current}." if current else f"Nothing is {ALIAS} yet.")
