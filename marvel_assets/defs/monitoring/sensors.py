"""Sensors that raise alerts: when a run failed, and when what is scored has drifted."""

import os
from collections.abc import Mapping
from dataclasses import replace

import dagster as dg

from marvel_assets.defs.alerts import WEBHOOK, WebhookError, cause_of, post
from marvel_assets.defs.ingestion.assets import SOURCE_FINGERPRINT
from marvel_assets.defs.ingestion.sensors import IN_PROGRESS_STATUSES, latest_trained_read
from marvel_assets.defs.monitoring.assets import DRIFTED, MODEL, WINDOW, drift_report
from marvel_assets.defs.resources import Project
from marvel_assets.defs.sensor_cursor import SensorCursor
from marvel_assets.defs.training.jobs import retrain
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.resource import SourceResource

SECONDS_BETWEEN_LOOKS = 60
REPORTS_LOOKED_AT = 100


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    description=(
        "Raises an alert when the latest window of scored characters has drifted, and enough of those before it; "
        "retrains where the source has new data."
    ),
)
def drift_sensor(context: dg.SensorEvaluationContext, project: Project, sources: SourceResource) -> dg.SensorResult:
    """Count the latest windows of the version that scored last; those of versions before it say nothing of this one.

    Each window raises one alert. A model that is fitted on the same rows again comes out the same, so a run is asked
    for only where the source has changed.

    Raises:
        SensorError: three times in a row the source could not be looked at, or the webhook did not take the alert.
    """
    thresholds, cursor = project.config.drift, SensorCursor.from_json(context.cursor)
    windows = latest_windows(context.instance, thresholds.windows)
    if not windows:
        return cursor.succeeded("No drift report yet; materialise drift_report.")
    drifted = sum(1 for window in windows if window[DRIFTED])
    found = f"{drifted} of the last {len(windows)} window(s) of version {windows[0][MODEL]} drifted"
    if not windows[0][DRIFTED]:
        return cursor.succeeded(f"{found}; the latest one did not.")
    if drifted < thresholds.drifted_windows:
        return cursor.succeeded(f"{found}; {thresholds.drifted_windows} are needed for an alert.")
    message = f"{found} ({windows[0].get('reason', '')})"
    window_key = f"drift:{windows[0][MODEL]}:{windows[0][WINDOW]}"
    return _alert_and_retrain(context, cursor, window_key, message, project, sources)


def _alert_and_retrain(
    context: dg.SensorEvaluationContext,
    cursor: SensorCursor,
    window_key: str,
    message: str,
    project: Project,
    sources: SourceResource,
) -> dg.SensorResult:
    problem = ""
    try:
        obstacle = _obstacle(context.instance, project, sources)
    except SourceError as error:
        obstacle = problem = f"the source can't be looked at: {error}"
    requests = [] if obstacle else [dg.RunRequest(run_key=window_key, tags={"marvel/drift": message})]
    text = f"{message}: {obstacle or 'the source has new data, and a run retrains.'}"
    is_alerted_now = False
    if cursor.handled != window_key:
        context.log.warning(text)
        try:
            if address := os.environ.get(WEBHOOK):
                post(address, {"text": text})
            cursor, is_alerted_now = replace(cursor, handled=window_key), True
        except WebhookError as error:
            context.log.error(str(error))  # noqa: TRY400 - its text is all there is to know
            problem = problem or str(error)
    if problem and not is_alerted_now:
        return cursor.failed(message, problem, requests)
    if problem:  # a tick that fails keeps no cursor, and the alert would be repeated
        return dg.SensorResult(skip_reason=text, cursor=cursor.to_json())
    if obstacle:
        return cursor.succeeded(text)
    return dg.SensorResult(run_requests=requests, cursor=SensorCursor(cursor.handled).to_json())


def _obstacle(instance: dg.DagsterInstance, project: Project, sources: SourceResource) -> str:
    """Why a retraining would not help now; nothing where the source has new data."""
    going = instance.get_runs(dg.RunsFilter(job_name=retrain.name, statuses=IN_PROGRESS_STATUSES), limit=1)
    if going:
        return f"run {going[0].run_id[:8]} is retraining already."
    fingerprint = sources.fingerprint(None, project.config)
    trained = latest_trained_read(instance)
    if trained is None:
        return "no run has recorded how the source looked when a model was trained; start the job retrain once."
    if trained.metadata.get(SOURCE_FINGERPRINT) == fingerprint:
        return (
            "no run, since the source is as it was when the model was trained, and the same rows give the same "
            "model. Deliver newer characters, or see drift_report for what has moved."
        )
    return ""


def latest_windows(instance: dg.DagsterInstance, count: int) -> list[Mapping[str, object]]:
    """The latest reports of the version that scored last, one for each window, the latest first."""
    records = instance.fetch_materializations(drift_report.key, limit=REPORTS_LOOKED_AT).records
    windows: dict[object, Mapping[str, object]] = {}
    for record in records:
        materialization = record.asset_materialization
        if materialization is None:
            continue
        metadata = {name: value.value for name, value in materialization.metadata.items()}
        if metadata.keys() >= {MODEL, WINDOW, DRIFTED}:
            windows.setdefault((metadata[MODEL], metadata[WINDOW]), metadata)
    latest = list(windows.values())
    return [window for window in latest if window[MODEL] == latest[0][MODEL]][:count]


@dg.run_failure_sensor(
    description=f"Logs why a run failed, and posts it to the webhook that {WEBHOOK} names.",
    # Runs of the command line belong to no code location. All runs of the home's instance are this project's.
    monitor_all_code_locations=True,
)
def run_failure_alert(context: dg.RunFailureSensorContext) -> None:
    """One message for each failed run: job, step, reason."""
    message = failure_message(context)
    context.log.error(message["text"])
    if address := os.environ.get(WEBHOOK):
        post(address, message)


def failure_message(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """The message: ``text`` for people (and chat services), the parts for programs."""
    run = context.dagster_run
    steps = {
        event.step_key or "": cause_of(event.step_failure_data.error) for event in context.get_step_failure_events()
    }
    step, reason = next(
        iter(steps.items()), ("", context.failure_event.message or "the worker exited without reporting an error")
    )
    where = f" in {step}" if step else ""
    return {
        "text": f"Run {run.run_id[:8]} of {run.job_name} failed{where}: {reason}",
        "run_id": run.run_id,
        "job": run.job_name,
        "step": step,
        "reason": reason,
    }
