"""The alerts: of drift in enough windows, the latest among them, never twice for one; and of runs that failed."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.alerts import WEBHOOK, WebhookError, post
from marvel_assets.defs.monitoring.sensors import drift_sensor, run_failure_alert
from marvel_assets.defs.resources import Project
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.defs.recorded import record_run
from marvel_assets_tests.servers.scripted import Answer, Served, serving

STABLE, MOVED = {"drifted": False}, {"drifted": True}
AGAIN, OF_VERSION_2 = {"drifted": True, "window": 0}, {"drifted": True, "model_version": 2}
ADDRESS_PART = "known-to-nobody"


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


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


def report(instance: dg.DagsterInstance, *windows: dict[str, int]) -> None:
    for number, window in enumerate(windows):
        metadata = {"window": number, "model_version": 1, "reason": "Universe drifted", **window}
        instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", metadata=metadata))


def sources_of(project: Path) -> SourceResource:
    folder = project.parent
    return SourceResource(scratch=str(folder / "scratch"), last_read=str(folder / "source.json"))


def was_trained_on(instance: dg.DagsterInstance, project: Path) -> None:
    """Record a run that trained on the source as it is now."""
    look = sources_of(project).fingerprint(None, Project(config_path=str(project)).config)
    record_run(instance, look, "basic_model", status=dg.DagsterRunStatus.SUCCESS)


def tick(instance: dg.DagsterInstance, project: Path, cursor: str | None = None) -> dg.SensorResult:
    resources = {"project": Project(config_path=str(project)), "sources": sources_of(project)}
    result = drift_sensor(dg.build_sensor_context(instance, cursor=cursor, resources=resources))
    return dg.SensorResult(skip_reason=result) if isinstance(result, dg.SkipReason) else result


@pytest.mark.usefixtures("source")
def test_two_of_five_and_the_latest_raise_an_alert_and_no_run_where_the_source_is_as_it_was(
    instance: dg.DagsterInstance, small_project: Path, webhook: Served
):
    # given
    was_trained_on(instance, small_project)
    report(instance, MOVED, STABLE, STABLE, STABLE, MOVED)

    # when
    result = tick(instance, small_project)
    tick(instance, small_project, result.cursor)

    # then: one alert for one window
    assert not result.run_requests
    [text] = texts(webhook)
    found = "2 of the last 5 window(s) of version 1 drifted (Universe drifted)"
    assert text.startswith(f"{found}: no run, since the source")
    assert result.skip_reason.skip_message == text


def test_drift_retrains_where_the_source_has_new_data(
    instance: dg.DagsterInstance, small_project: Path, source: Path, webhook: Served
):
    # given
    was_trained_on(instance, small_project)
    report(instance, MOVED, MOVED)
    source.write_text("PageID\n1\n2\n")

    # when
    result = tick(instance, small_project)

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
        with pytest.raises(WebhookError):
            tick(instance, small_project)


def test_a_source_that_stays_away_is_named_in_one_alert(
    instance: dg.DagsterInstance, small_project: Path, source: Path, webhook: Served
):
    # given
    report(instance, MOVED, MOVED)
    source.unlink()

    # when
    cursor = tick(instance, small_project).cursor
    tick(instance, small_project, cursor)

    # then
    [text] = texts(webhook)
    assert f"(Universe drifted): the source can't be found: {source}: no such file" in text


@pytest.mark.parametrize(
    ("windows", "said"),
    [
        ([], "No drift report yet; materialise drift_report."),
        ([STABLE, MOVED], "1 of the last 2 window(s) of version 1 drifted; 2 are needed for an alert."),
        ([MOVED, MOVED, STABLE], "2 of the last 3 window(s) of version 1 drifted; the latest one did not."),
        ([MOVED, STABLE, STABLE, STABLE, STABLE, MOVED], "1 of the last 5 window(s) of version 1 drifted; 2"),
        ([MOVED, AGAIN], "1 of the last 1 window(s) of version 1 drifted; 2"),
        ([MOVED, OF_VERSION_2], "1 of the last 1 window(s) of version 2 drifted; 2"),
    ],
    ids=["none", "too few", "not the latest", "before the last five", "the same window again", "of another version"],
)
def test_two_of_the_last_five_windows_of_a_version_are_needed_and_the_latest(
    instance: dg.DagsterInstance, small_project: Path, windows: list[dict[str, int]], said: str
):
    # given
    report(instance, *windows)

    # then
    assert tick(instance, small_project).skip_reason.skip_message.startswith(said)


def test_while_a_retraining_is_going_nothing_is_asked_for(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, MOVED)
    create_run_for_test(instance, job_name="retrain", status=dg.DagsterRunStatus.STARTED)

    # then
    assert "is retraining already" in tick(instance, small_project).skip_reason.skip_message


@dg.op
def breaks() -> None:
    raise dg.Failure("characters.csv: the file is empty.")


@dg.job
def broken() -> None:
    breaks()


def test_runs_that_were_started_at_the_command_line_are_seen(instance: dg.DagsterInstance):
    # given: the first tick notes where the sensor begins
    repository = dg.Definitions(jobs=[broken], sensors=[run_failure_alert]).get_repository_def()

    def evaluate(cursor: str | None) -> SensorExecutionData:
        context = dg.build_sensor_context(
            instance, cursor, repository_def=repository, sensor_name=run_failure_alert.name, last_sensor_start_time=1.0
        )
        return run_failure_alert.evaluate_tick(context)

    first = evaluate(None)
    broken.execute_in_process(instance=instance, raise_on_error=False)

    # when
    second = evaluate(first.cursor)

    # then
    assert len(second.dagster_run_reactions) == 1


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "not named"])
def test_a_webhook_that_is_named_gets_a_message_with_run_job_step_and_reason(
    instance: dg.DagsterInstance, webhook: Served, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
):
    # given
    result = broken.execute_in_process(instance=instance, raise_on_error=False)
    if not is_named:
        monkeypatch.delenv(WEBHOOK)

    # when
    context = dg.build_run_status_sensor_context(
        run_failure_alert.name, result.get_run_failure_event(), instance, result.dagster_run
    )
    run_failure_alert(context.for_run_failure())

    # then
    text = f"Run {result.run_id[:8]} of broken failed in breaks: characters.csv: the file is empty."
    assert texts(webhook) == [text] * is_named


def test_a_webhook_that_is_gone_is_reported_without_its_address(monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:1/{ADDRESS_PART}")

    # when
    with pytest.raises(WebhookError, match="The webhook of MARVEL_WEBHOOK_URL can't be reached") as error:
        post("text")

    # then
    assert ADDRESS_PART not in str(error.getrepr(chain=True))


@pytest.mark.parametrize("status", [301, 403])
def test_a_webhook_that_refuses_or_redirects_is_reported(status: int, monkeypatch: pytest.MonkeyPatch):
    with serving(lambda _: Answer(status)) as webhook:
        monkeypatch.setenv(WEBHOOK, webhook.url)
        with pytest.raises(WebhookError, match=f"answers with HTTP {status}"):
            post("text")
