"""The sensor that watches the source, and requests one run for each new content."""

from typing import Any

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from marvel_assets.defs.ingestion.assets import SOURCE_FINGERPRINT, raw_characters
from marvel_assets.defs.metadata import reported
from marvel_assets.defs.resources import Project
from marvel_assets.defs.training.assets import basic_model
from marvel_assets.defs.training.jobs import retrain
from marvel_assets.sources.resource import SourceResource


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=30,
    description="Watches the source (MARVEL_SOURCE), and retrains once for each new content.",
)
def source_change_sensor(
    context: dg.SensorEvaluationContext, project: Project, sources: SourceResource
) -> dg.SensorResult | dg.SkipReason:
    """Request a run if the source's fingerprint is new; the run reads the source.

    The cursor is the fingerprint of the latest request. While a retraining is in progress, nothing is requested:
    however often the source changes meanwhile, one run follows. A SourceError fails the tick, which shows it.
    """
    if run := retraining_in_progress(context.instance):
        return dg.SkipReason(
            f"Run {run.run_id[:8]} is retraining; changes in the meantime are looked at when it has ended."
        )
    fingerprint, label = sources.fingerprint(None, project.config), sources.label(None, project.config)
    source = source_of_latest_model(context.instance)
    if source.get(SOURCE_FINGERPRINT) == fingerprint:
        reason = f"{label} is still the content of version {source['delta_version']}."
        return dg.SensorResult(skip_reason=reason, cursor=fingerprint)
    if context.cursor == fingerprint:
        return dg.SkipReason(
            f"A run was requested for this content of {label}, and the latest model is not from it. If it failed, fix "
            "the cause and re-execute it, or reset this sensor's cursor to request it again."
        )
    return dg.SensorResult(run_requests=[dg.RunRequest()], cursor=fingerprint)


def retraining_in_progress(instance: dg.DagsterInstance) -> dg.DagsterRun | None:
    """The newest retraining that is queued or in progress."""
    runs = instance.get_runs(dg.RunsFilter(job_name=retrain.name, statuses=NOT_FINISHED_STATUSES), limit=1)
    return next(iter(runs), None)


def source_of_latest_model(instance: dg.DagsterInstance) -> dict[str, Any]:
    """The metadata of raw_characters from the latest run that read the source and made a model.

    {} if there is none, or if that run failed and was not re-executed successfully.
    """
    trained = {model.run_id for model in instance.fetch_materializations(basic_model.key, limit=20).records}
    for read in instance.fetch_materializations(raw_characters.key, limit=100).records:
        if read.run_id in trained:
            _, runs = instance.get_run_group(read.run_id) or (None, [])
            return reported(read) if any(run.is_success for run in runs) else {}
    return {}
