"""Dagster's definitions: all assets, checks, jobs, schedules and sensors, with the profile's resources."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets import defs as package
from marvel_assets.defs.alerts import brief_console
from marvel_assets.defs.inference.assets import verify_scoring_environment
from marvel_assets.defs.inference.predictions import score
from marvel_assets.defs.ingestion.sensors import source_change_sensor
from marvel_assets.defs.monitoring.sensors import drift_sensor, run_failure_alert
from marvel_assets.defs.registration.aliases import alias_reconciliation_sensor, approve, promote, rollback
from marvel_assets.defs.resources import profile_resources
from marvel_assets.defs.run_monitoring import monitored_in_process_executor
from marvel_assets.defs.training.jobs import retrain, trial, tune, weekly_retraining
from marvel_assets.paths import ProjectPaths

WEEKLY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8), warn_window=timedelta(days=7, hours=6))
"""Refreshed every week, with a day to fix failures."""

resources = profile_resources(ProjectPaths.from_environment())
automation = dg.AutomationConditionSensorDefinition(
    "default_automation_condition_sensor",
    target=dg.AssetSelection.all(),
    description="Updates predictions and drift report when their inputs change; builds the wheel if there is none.",
)


def _annotate(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Add the owner, a freshness policy if the asset has a code version, and the name and location of a table."""
    metadata = dict(spec.metadata)
    if "deltalake" in spec.kinds:
        table = resources["project"].config.qualified(spec.key.path[-1])
        location = resources["tables"].location(table)
        metadata["dagster/table_name"] = table
        if isinstance(location, Path):
            metadata["dagster/uri"] = str(location)
    policy = WEEKLY if spec.code_version else None
    return spec.replace_attributes(owners=["team:marvel"], freshness_policy=policy, metadata=metadata)


assets: Any = dg.load_assets_from_package_module(package, include_specs=True)
defs = dg.Definitions(
    assets=dg.map_asset_specs(_annotate, assets),
    asset_checks=dg.load_asset_checks_from_package_module(package),
    jobs=[retrain, score, promote, rollback, approve, trial, tune, verify_scoring_environment],
    # All are off by default; the README says how to turn them on.
    schedules=[weekly_retraining],
    sensors=[automation, source_change_sensor, drift_sensor, alias_reconciliation_sensor, run_failure_alert],
    resources=resources,
    loggers={"brief": brief_console},
    executor=monitored_in_process_executor,
)
