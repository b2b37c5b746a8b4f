"""Runs that an instance has on record, without having run anything."""

import dagster as dg
from dagster._core.events import StepMaterializationData
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.ingestion.assets import SOURCE_FINGERPRINT


def record_run(
    instance: dg.DagsterInstance, fingerprint: str | None, *assets: str, status: dg.DagsterRunStatus
) -> dg.DagsterRun:
    """A run that has read a source of this look as version 0, where there is one, and made these assets besides."""
    run = create_run_for_test(instance, job_name="retrain", status=status)
    read = {SOURCE_FINGERPRINT: fingerprint, "delta_version": 0}
    raw = [dg.AssetMaterialization("raw_characters", metadata=read)] if fingerprint else []
    for materialization in (*raw, *map(dg.AssetMaterialization, assets)):
        made = StepMaterializationData(materialization)
        event = dg.DagsterEvent("ASSET_MATERIALIZATION", "retrain", event_specific_data=made)
        instance.report_dagster_event(event, run_id=run.run_id)
    return run
