"""The drift sensor: enough windows, the latest among them, and never twice for one window."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.alerts import WEBHOOK, WebhookError
from marvel_assets.defs.monitoring.sensors import drift_sensor
from marvel_assets.defs.resources import Project
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.defs.recorded import record_run
from marvel_assets_tests.servers.scripted import Answer, Served, serving

STABLE, MOVED = False, True


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def report(instance: dg.DagsterInstance, *windows: bool, model: int = 1, first: int = 0) -> None:
    for number, is_drifted in enumerate(windows, start=first):
        metadata = {"drifted": is_drifted, "window": number, "model_version": model, "reason": "Universe drifted"}
        instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", metadata=metadata))


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


def was_trained_on(instance: dg.DagsterInstance, project: Path) -> None:
    """Record a run that trained on the source as it is now."""
    look = sources_of(project).fingerprint(None, Project(config_path=str(project)).config)
    record_run(instance, look, "basic_model", status=dg.DagsterRunStatus.SUCCESS)


def sources_of(project: Path) -> SourceResource:
    return SourceResource(scratch=str(project.parent / "scratch"))


def evaluate(instance: dg.DagsterInstance, project: Path, cursor: str | None = None) -> dg.SensorResult | dg.SkipReason:
    resources = {"project": Project(config_path=str(project)), "sources": sources_of(project)}
    return drift_sensor(dg.build_sensor_context(instance, cursor=cursor, resources=resources))


def tick(instance: dg.DagsterInstance, project: Path) -> dg.RunRequest | str:
    result = evaluate(instance, project)
    if isinstance(result, dg.SkipReason):
        return str(result.skip_message)
    return result.run_requests[0] if result.run_requests else str(result.skip_reason.skip_message)


def test_without_a_report_it_says_what_to_materialise(instance: dg.DagsterInstance, small_project: Path):
    assert tick(instance, small_project) == "No drift report yet; materialise drift_report."


@pytest.mark.usefixtures("source")
def test_two_of_five_and_the_latest_raise_an_alert_and_no_run_where_the_source_is_as_it_was(
    instance: dg.DagsterInstance, small_project: Path, webhook: Served
):
    # given
    was_trained_on(instance, small_project)
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


def test_drift_retrains_where_the_source_has_new_data(
    instance: dg.DagsterInstance, small_project: Path, source: Path, webhook: Served
):
    # given
    was_trained_on(instance, small_project)
    report(instance, MOVED, MOVED)
    source.write_text("PageID\n1\n2\n")

    # when
    result = evaluate(instance, small_project)

    # then
    assert [request.run_key for request in result.run_requests] == ["drift:1:1"]
    assert texts(webhook)[0].endswith("(Universe drifted): the source has new data, and a run retrains.")


@pytest.mark.usefixtures("source")
def test_an_alert_that_no_webhook_took_fails_the_tick_and_is_raised_again(
    instance: dg.DagsterInstance, small_project: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: nothing listens there
    monkeypatch.setenv(WEBHOOK, "http://127.0.0.1:9")
    report(instance, MOVED, MOVED)

    # then
    for _ in range(2):
        with pytest.raises(WebhookError, match="The webhook of MARVEL_WEBHOOK_URL can't be reached"):
            evaluate(instance, small_project)


def test_a_source_that_stays_away_is_named_in_one_alert(
    instance: dg.DagsterInstance, small_project: Path, source: Path, webhook: Served
):
    # given
    report(instance, MOVED, MOVED)
    source.unlink()

    # when
    cursor = evaluate(instance, small_project).cursor
    evaluate(instance, small_project, cursor)

    # then
    [text] = texts(webhook)
    assert f"(Universe drifted): the source can't be found: {source}: no such file" in text


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
