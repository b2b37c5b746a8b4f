"""The sensor that watches the source, and asks for one run for each new content."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import dagster as dg

from marvel_assets.defs.ingestion.assets import SOURCE_FINGERPRINT, raw_characters
from marvel_assets.defs.resources import Project
from marvel_assets.defs.sensor_cursor import SensorCursor
from marvel_assets.defs.training.assets import basic_model
from marvel_assets.defs.training.jobs import retrain
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.resource import SourceResource

SECONDS_BETWEEN_LOOKS = 30
FINGERPRINT_TAG = "marvel/source_fingerprint"
"""Tag of a run that was asked for: which look of the source it is for."""

READS_LOOKED_AT = 100
"""Materialisations of raw_characters among which the latest that a model was trained on is looked for."""

IN_PROGRESS_STATUSES = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    description="Watches the source (MARVEL_SOURCE) and retrains once for each new content of it.",
)
def source_change_sensor(
    context: dg.SensorEvaluationContext, project: Project, sources: SourceResource
) -> dg.SensorResult | dg.SkipReason:
    """Look at the source from outside, and ask for a run where it looks new; the run reads it.

    What decides is how the run for that look ended. While a retraining is going nothing is asked for: however often
    the source changes meanwhile, one run follows. Where the run failed, it is asked for again when the cursor is reset.

    Raises:
        SensorError: the source could not be looked at three times in a row.
    """
    cursor = SensorCursor.from_json(context.cursor)
    going = context.instance.get_runs(dg.RunsFilter(job_name=retrain.name, statuses=IN_PROGRESS_STATUSES), limit=1)
    if going:
        return dg.SkipReason(
            f"Run {going[0].run_id[:8]} is retraining; what has changed meanwhile is looked at when it has ended."
        )
    try:
        fingerprint = sources.fingerprint(None, project.config)
    except SourceError as error:
        return cursor.failed("The source can't be looked at", error)
    label = sources.label(None, project.config)
    cursor = SensorCursor(cursor.handled)
    tag = {FINGERPRINT_TAG: fingerprint[:40]}
    asked_for = context.instance.get_run_records(dg.RunsFilter(job_name=retrain.name, tags=tag))
    trained = latest_trained_read(context.instance)
    stored = [trained.run] if trained and trained.metadata.get(SOURCE_FINGERPRINT) == fingerprint else []
    latest = max([*asked_for[:1], *stored], key=lambda record: record.storage_id, default=None)
    if latest is not None:
        run, is_requested = latest.dagster_run, cursor.handled == fingerprint
        if run.status == dg.DagsterRunStatus.SUCCESS and (stored or is_requested):
            version = trained.metadata.get("delta_version") if trained else ""
            return cursor.succeeded(f"{label} is still the content of version {version}.")
        if run.status != dg.DagsterRunStatus.SUCCESS and is_requested:
            message = (
                f"Run {run.run_id[:8]} for this content of {label} ended as {run.status.value}. When the cause "
                "is mended, re-execute it, or reset this sensor's cursor to have it asked for again."
            )
            return cursor.succeeded(message)
    request = dg.RunRequest(run_key=f"{tag[FINGERPRINT_TAG]}:{len(asked_for)}", tags=tag)
    return dg.SensorResult(run_requests=[request], cursor=replace(cursor, handled=fingerprint).to_json())


class TrainedRead(NamedTuple):
    """A run that read the source and trained on it, and the metadata of its materialisation of raw_characters."""

    run: dg.RunRecord
    metadata: Mapping[str, object]


def latest_trained_read(instance: dg.DagsterInstance) -> TrainedRead | None:
    """The latest of them. Runs that only score what a source holds lie between; they say nothing of the model."""
    for event in instance.fetch_materializations(raw_characters.key, limit=READS_LOOKED_AT).records:
        for record in instance.get_run_records(dg.RunsFilter(run_ids=[event.run_id])):
            if event.asset_materialization is not None and _trains(instance, record.dagster_run):
                found = event.asset_materialization.metadata
                return TrainedRead(record, {name: value.value for name, value in found.items()})
    return None


def _trains(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run goes on to a model; one of selected assets may end before."""
    if run.job_name == retrain.name:
        return True
    planned = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    events = [record.event_log_entry.dagster_event for record in planned.records]
    return any(event is not None and event.asset_key == basic_model.key for event in events)
