"""The sensor that keeps both aliases on the same pair."""

import dagster as dg

from marvel_assets.defs.registration.assets import reconcile_and_report
from marvel_assets.defs.resources import Project
from marvel_assets.registry.model_pairs import ALIAS
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.tracking.mlflow_resource import MlflowTracking

MINIMUM_INTERVAL_SECONDS = 60


@dg.sensor(
    minimum_interval_seconds=MINIMUM_INTERVAL_SECONDS,
    description=(
        "Moves the basic alias to match the custom one, after a run was killed between the two moves or a person moved "
        "the custom one, and reports the served pair on both version assets, also after a move elsewhere."
    ),
)
def alias_reconciliation_sensor(
    context: dg.SensorEvaluationContext,
    project: Project,
    unity_catalog: UnityCatalog,
    tracking: MlflowTracking,
    references: dg.ResourceParam[ReferenceIOManager],
) -> dg.SensorResult:
    """Reconcile in the tick itself: moving one alias needs no run.

    Raises:
        RegistryError: the aliases can't be read, or don't point at a complete pair; the tick fails and shows why.
    """
    pairs = unity_catalog.pairs(project.config)
    if events := reconcile_and_report(context, pairs, tracking, references):
        return dg.SensorResult(skip_reason=events[0].description, asset_events=events)
    current = pairs.current()
    return dg.SensorResult(skip_reason=f"Both aliases are at {current}." if current else f"Nothing is {ALIAS} yet.")
