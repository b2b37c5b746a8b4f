"""The sensor that retrains when what is scored has drifted."""

from collections.abc import Mapping

import dagster as dg

from marvel_assets.assets.drift import DRIFTED, MODEL, WINDOW, drift_report
from marvel_assets.automation.jobs import retrain
from marvel_assets.automation.new_data import GOING
from marvel_assets.resources.project import Project

SECONDS_BETWEEN_LOOKS = 60
REPORTS_LOOKED_AT = 100


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    description="Retrains when the latest window of scored characters has drifted, and enough of those before it.",
)
def drift(context: dg.SensorEvaluationContext, project: Project) -> dg.RunRequest | dg.SkipReason:
    """Count the latest windows of the version that scored last; those of versions before it don't tell of this one."""
    thresholds = project.config.drift
    windows = latest_windows(context.instance, thresholds.windows)
    if not windows:
        return dg.SkipReason("No drift report yet; materialise drift_report.")
    drifted = sum(1 for window in windows if window[DRIFTED])
    told = f"{drifted} of the last {len(windows)} window(s) of version {windows[0][MODEL]} drifted"
    if not windows[0][DRIFTED]:
        return dg.SkipReason(f"{told}; the latest one did not.")
    if drifted < thresholds.drifted_windows:
        return dg.SkipReason(f"{told}; {thresholds.drifted_windows} are needed to retrain.")
    going = context.instance.get_runs(dg.RunsFilter(job_name=retrain.name, statuses=GOING), limit=1)
    if going:
        return dg.SkipReason(f"{told}; run {going[0].run_id[:8]} is retraining already.")
    return dg.RunRequest(run_key=f"drift:{windows[0][MODEL]}:{windows[0][WINDOW]}", tags={"marvel/drift": told})


def latest_windows(instance: dg.DagsterInstance, count: int) -> list[Mapping[str, object]]:
    """The latest reports of the version that scored last, one for each window, the latest first."""
    records = instance.fetch_materializations(drift_report.key, limit=REPORTS_LOOKED_AT).records
    windows: dict[object, Mapping[str, object]] = {}
    for record in records:
        materialization = record.asset_materialization
        if materialization is None:
            continue
        told = {name: value.value for name, value in materialization.metadata.items()}
        if told.keys() >= {MODEL, WINDOW, DRIFTED}:
            windows.setdefault((told[MODEL], told[WINDOW]), told)
    latest = list(windows.values())
    return [window for window in latest if window[MODEL] == latest[0][MODEL]][:count]
