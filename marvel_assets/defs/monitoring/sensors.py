"""Sensors that raise alerts: when a run failed, and when scored rows have drifted."""

from typing import Any

import dagster as dg

from marvel_assets.defs.alerts import WEBHOOK, cause_of, post
from marvel_assets.defs.ingestion.assets import SOURCE_FINGERPRINT
from marvel_assets.defs.ingestion.sensors import retraining_in_progress, source_of_latest_model
from marvel_assets.defs.metadata import reported
from marvel_assets.defs.monitoring.assets import DRIFTED, MODEL, WINDOW, drift_report
from marvel_assets.defs.resources import Project
from marvel_assets.defs.training.jobs import retrain
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.resource import SourceResource


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=60,
    description="Raises an alert when enough windows of scored rows have drifted; retrains if the source has new data.",
)
def drift_sensor(
    context: dg.SensorEvaluationContext, project: Project, sources: SourceResource
) -> dg.SensorResult | dg.SkipReason:
    """Count the latest drifted windows of the model version that scored last.

    Each window raises one alert: the cursor is the latest window that did. The same rows would give the same model, so
    a run is requested only if the source has changed.
    """
    thresholds = project.config.drift
    windows = _latest_windows(context.instance, thresholds.windows)
    if not windows:
        return dg.SkipReason("No drift report yet; materialise drift_report.")
    latest, drifted = windows[0], sum(window[DRIFTED] for window in windows)
    found = f"{drifted} of the last {len(windows)} window(s) of version {latest[MODEL]} drifted"
    if not latest[DRIFTED]:
        return dg.SkipReason(f"{found}; the latest one did not.")
    if drifted < thresholds.drifted_windows:
        return dg.SkipReason(f"{found}; {thresholds.drifted_windows} are needed for an alert.")
    message, window = f"{found} ({latest['reason']})", f"drift:{latest[MODEL]}:{latest[WINDOW]}"
    why_not = _why_not_retrain(context.instance, project, sources)
    text = f"{message}: {why_not or 'the source has new data, and a run retrains.'}"
    if context.cursor != window:
        context.log.warning(text)
        post(text)
    if why_not:
        return dg.SensorResult(skip_reason=text, cursor=window)
    return dg.SensorResult(run_requests=[dg.RunRequest(window, tags={"marvel/drift": message})], cursor=window)


def _why_not_retrain(instance: dg.DagsterInstance, project: Project, sources: SourceResource) -> str:
    """Why a retraining would not help now; '' if the source has new data."""
    if run := retraining_in_progress(instance):
        return f"run {run.run_id[:8]} is retraining already."
    try:
        fingerprint = sources.fingerprint(None, project.config)
    except SourceError as error:
        return f"the source can't be found: {error}"
    trained_on = source_of_latest_model(instance).get(SOURCE_FINGERPRINT)
    if trained_on is None:
        return "no run has recorded the source's fingerprint with a trained model; start the job retrain once."
    if trained_on != fingerprint:
        return ""
    return (
        "no run, since the source is unchanged since the model was trained, and the same rows give the same model. "
        "Provide newer rows, or see drift_report for what has drifted."
    )


def _latest_windows(instance: dg.DagsterInstance, count: int) -> list[dict[str, Any]]:
    """The latest reports of the model version that scored last, one per window, the latest first."""
    records = instance.fetch_materializations(drift_report.key, limit=100).records
    reports = [report for report in map(reported, records) if DRIFTED in report]
    windows = {report[WINDOW]: report for report in reversed(reports) if report[MODEL] == reports[0][MODEL]}
    return [*reversed(windows.values())][:count]


@dg.run_failure_sensor(
    description=f"Logs why a run failed, and posts it to the webhook that {WEBHOOK} names.",
    # Runs from the command line belong to no code location. All runs of the home's instance are this project's.
    monitor_all_code_locations=True,
)
def run_failure_alert(context: dg.RunFailureSensorContext) -> None:
    """Send one message per failed run: job, step, reason."""
    text = f"Run {context.dagster_run.run_id[:8]} of {context.dagster_run.job_name} failed"
    steps = context.get_step_failure_events()
    if steps and (error := steps[0].step_failure_data.error):
        text += f" in {steps[0].step_key}: {cause_of(error)}"
    else:
        text += f": {context.failure_event.message}"
    context.log.error(text)
    post(text)
