"""The drift sensor: enough windows, the latest among them, and never twice for one window."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import StepMaterializationData
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.alerts import WEBHOOK
from marvel_assets.defs.ingestion.assets import SOURCE_FINGERPRINT
from marvel_assets.defs.monitoring.sensors import drift_sensor
from marvel_assets.defs.resources import Project
from marvel_assets.defs.sensor_cursor import SensorCursor, SensorError
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.servers.scripted import Answer, Served, serving

STABLE, MOVED = False, True


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def report(instance: dg.DagsterInstance, *windows: bool, model: int = 1, first: int = 0) -> None:
    for number, is_drifted in enumerate(windows, start=first):
        told = {"drifted": is_drifted, "window": number, "model_version": model, "reason": "Universe drifted"}
        instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", metadata=told))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source, as it was when raw_characters was read."""
    file = tmp_path / "characters.csv"
    file.write_text("PageID\n1\n")
    monkeypatch.setenv("MARVEL_SOURCE", str(file))
    return file


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that takes every alert."""
    with serving(lambda _: Answer()) as served:
        monkeypatch.setenv(WEBHOOK, served.url)
        yield served


def texts(webhook: Served) -> list[str]:
    return [json.loads(body)["text"] for body in webhook.bodies]


def was_read(instance: dg.DagsterInstance, project: Path, job: str = "retrain", look: str | None = None) -> None:
    """Report a run of a job in which raw_characters was read, from the source as it is now or as it looked."""
    look = look or sources_of(project).fingerprint(None, Project(config_path=str(project)).config)
    read = dg.AssetMaterialization("raw_characters", metadata={SOURCE_FINGERPRINT: look})
    event = dg.DagsterEvent("ASSET_MATERIALIZATION", job, event_specific_data=StepMaterializationData(read))
    run = create_run_for_test(instance, job_name=job, status=dg.DagsterRunStatus.SUCCESS)
    instance.report_dagster_event(event, run_id=run.run_id)


def sources_of(project: Path) -> SourceResource:
    return SourceResource(scratch=str(project.parent / "scratch"))


def evaluate(instance: dg.DagsterInstance, project: Path, cursor: str | None = None) -> dg.SensorResult:
    resources = {"project": Project(config_path=str(project)), "sources": sources_of(project)}
    return drift_sensor(dg.build_sensor_context(instance, cursor=cursor, resources=resources))


def tick(instance: dg.DagsterInstance, project: Path) -> dg.RunRequest | str:
    result = evaluate(instance, project)
    return result.run_requests[0] if result.run_requests else str(result.skip_reason.skip_message)


def test_without_a_report_it_says_what_to_materialise(instance: dg.DagsterInstance, small_project: Path):
    assert tick(instance, small_project) == "No drift report yet; materialise drift_report."


@pytest.mark.usefixtures("source")
def test_two_of_five_and_the_latest_raise_an_alert_and_no_run_where_the_source_is_as_it_was(
    instance: dg.DagsterInstance, small_project: Path, webhook: Served
):
    # given
    was_read(instance, small_project)
    report(instance, MOVED, STABLE, STABLE, STABLE, MOVED)

    # when
    result = evaluate(instance, small_project)
    evaluate(instance, small_project, result.cursor)

    # then: one alert for one window
    assert not result.run_requests
    [text] = texts(webhook)
    assert text.startswith(
        "2 of the last 5 window(s) of version 1 drifted (Universe drifted): no run, since the source"
    )
    assert result.skip_reason.skip_message == text


@pytest.mark.usefixtures("source")
def test_characters_that_were_only_scored_are_no_new_data_of_the_source(
    instance: dg.DagsterInstance, small_project: Path
):
    # given: what was trained on is as it was, and another file was scored since
    was_read(instance, small_project)
    was_read(instance, small_project, job="__ASSET_JOB", look="of another file")
    report(instance, MOVED, MOVED)

    # then
    assert "no run, since the source is as it was when the model was trained" in tick(instance, small_project)


def test_drift_retrains_where_the_source_has_new_data(
    instance: dg.DagsterInstance, small_project: Path, source: Path, webhook: Served
):
    # given
    was_read(instance, small_project)
    report(instance, MOVED, MOVED)
    source.write_text("PageID\n1\n2\n")

    # when
    result = evaluate(instance, small_project)

    # then
    assert [request.run_key for request in result.run_requests] == ["drift:1:1"]
    assert texts(webhook)[0].endswith("(Universe drifted): the source has new data, and a run retrains.")


def test_an_alert_that_no_webhook_took_is_raised_again(
    instance: dg.DagsterInstance, small_project: Path, source: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: nothing listens there
    monkeypatch.setenv(WEBHOOK, "http://127.0.0.1:9")
    was_read(instance, small_project)
    report(instance, MOVED, MOVED)
    source.write_text("PageID\n1\n2\n")

    # when
    result = evaluate(instance, small_project)

    # then: the run is asked for all the same
    assert SensorCursor.from_json(result.cursor).handled == ""
    assert len(result.run_requests) == 1


def test_a_source_that_stays_away_fails_the_tick_after_one_alert_and_says_since_when(
    instance: dg.DagsterInstance, small_project: Path, source: Path, webhook: Served
):
    # given
    report(instance, MOVED, MOVED)
    source.unlink()
    cursor = evaluate(instance, small_project).cursor  # the tick that raises the alert
    for _ in range(2):
        cursor = evaluate(instance, small_project, cursor).cursor

    # then
    with pytest.raises(
        SensorError, match=r"drifted \(Universe drifted\), since \d{4}-.* UTC: the source can't be looked"
    ):
        evaluate(instance, small_project, cursor)
    assert len(webhook.bodies) == 1


@pytest.mark.usefixtures("source")
def test_a_webhook_that_stays_away_fails_the_tick(
    instance: dg.DagsterInstance, small_project: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: nothing listens there
    monkeypatch.setenv(WEBHOOK, "http://127.0.0.1:9")
    was_read(instance, small_project)
    report(instance, MOVED, MOVED)
    cursor = None
    for _ in range(2):
        cursor = evaluate(instance, small_project, cursor).cursor

    # then
    with pytest.raises(SensorError, match=r"since \d{4}-.* UTC: The webhook of MARVEL_WEBHOOK_URL can't be reached"):
        evaluate(instance, small_project, cursor)


def test_a_tick_without_an_error_ends_the_row(instance: dg.DagsterInstance, small_project: Path):
    # given
    cursor = SensorCursor(errors=2, failing_since="yesterday").to_json()

    # then
    assert SensorCursor.from_json(evaluate(instance, small_project, cursor).cursor) == SensorCursor()


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ([STABLE, MOVED], "1 of the last 2 window(s) of version 1 drifted; 2 are needed for an alert."),
        ([MOVED, MOVED, STABLE], "2 of the last 3 window(s) of version 1 drifted; the latest one did not."),
        ([MOVED, STABLE, STABLE, STABLE, STABLE, MOVED], "1 of the last 5 window(s) of version 1 drifted; 2"),
    ],
    ids=["too few", "not the latest", "before the last five"],
)
def test_two_of_the_last_five_windows_are_needed_and_the_latest(
    instance: dg.DagsterInstance, small_project: Path, windows: list[bool], said: str
):
    # given
    report(instance, *windows)

    # then
    assert tick(instance, small_project).startswith(said)


@pytest.mark.parametrize(("model", "first"), [(1, 0), (2, 2)], ids=["the same window again", "of another version"])
def test_a_window_counts_once_and_for_its_version_alone(
    instance: dg.DagsterInstance, small_project: Path, model: int, first: int
):
    # given
    report(instance, MOVED)
    report(instance, MOVED, model=model, first=first)

    # then
    assert f"1 of the last 1 window(s) of version {model}" in tick(instance, small_project)


def test_while_a_retraining_is_going_nothing_is_asked_for(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, MOVED)
    create_run_for_test(instance, job_name="retrain", status=dg.DagsterRunStatus.STARTED)

    # then
    assert "is retraining already" in tick(instance, small_project)
