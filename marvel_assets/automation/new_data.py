"""The sensor that watches the source, and asks for one run for each new content."""

import json
from dataclasses import asdict, dataclass
from typing import Self

import dagster as dg

from marvel_assets.assets.ingestion import SOURCE_DIGEST, raw_characters
from marvel_assets.automation.jobs import retrain
from marvel_assets.resources.project import Project
from marvel_assets.resources.sources import Sources
from marvel_assets.sources.errors import SourceError

SECONDS_BETWEEN_LOOKS = 30
DIGEST_TAG = "marvel/source_digest"
"""Tag of a run that was asked for: which content it is for."""

GOING = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
ENDED_BADLY = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class Seen:
    """The sensor's cursor: how the source looked, what its content was, and for which content a run was asked for."""

    fingerprint: str | None = None
    digest: str = ""
    label: str = ""
    requested: str = ""

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Self:
        """What an earlier look has kept; nothing where the cursor was reset."""
        return cls(**json.loads(cursor)) if cursor else cls()

    def to_cursor(self) -> str:
        """For the next look."""
        return json.dumps(asdict(self))


@dg.sensor(
    job=retrain,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    description="Watches the source (MARVEL_SOURCE) and retrains once for each new content of it.",
)
def new_raw_data(
    context: dg.SensorEvaluationContext, project: Project, sources: Sources
) -> dg.SensorResult | dg.SkipReason:
    """Look at the source; read it only where it looks changed.

    A run is asked for by its content, so that the same content never makes a second one. While a retraining is going
    nothing is asked for: however often the source changes meanwhile, one run follows. Where the run for a content
    failed, it is asked for again when the cursor is reset.
    """
    before = Seen.from_cursor(context.cursor)
    going = context.instance.get_runs(dg.RunsFilter(job_name=retrain.name, statuses=GOING), limit=1)
    if going:
        return dg.SkipReason(
            f"Run {going[0].run_id[:8]} is retraining; what has changed meanwhile is looked at when it has ended."
        )
    try:
        seen = _look(before, project, sources)
    except SourceError as error:
        return dg.SkipReason(f"The source can't be looked at: {error}")
    stored = _stored(context.instance)
    if stored.get(SOURCE_DIGEST) == seen.digest:
        told = f"{seen.label} is still the content of version {stored['delta_version']}."
        return dg.SensorResult(skip_reason=told, cursor=seen.to_cursor())
    tag = {DIGEST_TAG: _short(seen.digest)}
    earlier = context.instance.get_runs(dg.RunsFilter(job_name=retrain.name, tags=tag))
    if earlier and earlier[0].status in ENDED_BADLY and before.requested == seen.digest:
        told = (
            f"Run {earlier[0].run_id[:8]} for this content of {seen.label} ended as {earlier[0].status.value}. When "
            "the cause is mended, re-execute it, or reset this sensor's cursor to have it asked for again."
        )
        return dg.SensorResult(skip_reason=told, cursor=seen.to_cursor())
    requested = Seen(seen.fingerprint, seen.digest, seen.label, requested=seen.digest)
    request = dg.RunRequest(run_key=f"{_short(seen.digest)}:{len(earlier)}", tags=tag)
    return dg.SensorResult(run_requests=[request], cursor=requested.to_cursor())


def _look(before: Seen, project: Project, sources: Sources) -> Seen:
    """What the source holds; found by a glance where that shows it unchanged."""
    generator = project.config.generator
    fingerprint = sources.fingerprint(None, generator_rows=generator.rows, generator_seed=generator.seed)
    if fingerprint is not None and fingerprint == before.fingerprint:
        return before
    label, digest = sources.digest(None, generator_rows=generator.rows, generator_seed=generator.seed)
    return Seen(fingerprint, digest, label, before.requested)


def _stored(instance: dg.DagsterInstance) -> dict[str, object]:
    """What the last materialisation of raw_characters told of itself."""
    event = instance.get_latest_materialization_event(raw_characters.key)
    materialization = event.asset_materialization if event else None
    return {name: value.value for name, value in materialization.metadata.items()} if materialization else {}


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:40]
