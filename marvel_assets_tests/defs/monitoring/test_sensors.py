"""The alerts: of drift in enough windows, the latest among them, never twice for one; and of runs that failed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.alerts import WEBHOOK, WebhookError, post
from marvel_assets.defs.monitoring.sensors import drift_sensor, run_failure_alert
from marvel_assets_tests.defs.conftest import SensorTicks
from marvel_assets_tests.servers.scripted import Answer, Served, serving

STABLE, MOVED = {"drifted": False}, {"drifted": True}
AGAIN, OF_VERSION_2 = {"drifted": True, "window": 0}, {"drifted": True, "model_version": 2}
ADDRESS_PART = "known-to-nobody"


@pytest.fixture
def drift(ticks_of: Callable[[dg.SensorDefinition], SensorTicks], source: Path) -> SensorTicks:  # noqa: ARG001
    return ticks_of(drift_sensor)


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that takes every alert."""
    with serving(lambda _: Answer()) as served:
        monkeypatch.setenv(WEBHOOK, served.url)
        yield served


def texts(webhook: Served) -> list[str]:
    return [json.loads(body)["text"] for body in webhook.bodies]


def report(drift: SensorTicks, *windows: dict[str, int]) -> None:
    for number, window in enumerate(windows):
        metadata = {"window": number, "model_version": 1, "reason": "Universe drifted", **window}
        drift.instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", metadata=metadata))


def test_two_of_five_and_the_latest_raise_one_alert_and_no_run_if_the_source_is_unchanged(
    drift: SensorTicks, webhook: Served
):
    # given
    drift.record_run("basic_model")
    report(drift, MOVED, STABLE, STABLE, STABLE, MOVED)

    # when
    first, _ = drift.skips(), drift.skips()

    # then
    found = "2 of the last 5 window(s) of version 1 drifted (Universe drifted)"
    assert first.startswith(f"{found}: no run, since the source")
    assert texts(webhook) == [first]


def test_drift_retrains_if_the_source_has_new_data(drift: SensorTicks, source: Path, webhook: Served):
    # given
    drift.record_run("basic_model")
    report(drift, MOVED, MOVED)
    source.write_text("PageID\n1\n2\n")

    # when
    result = drift.tick()

    # then
    assert [request.run_key for request in result.run_requests] == ["drift:1:1"]
    assert texts(webhook)[0].endswith("(Universe drifted): the source has new data, and a run retrains.")


def test_an_alert_that_no_webhook_took_fails_the_tick_and_is_raised_again(
    drift: SensorTicks, monkeypatch: pytest.MonkeyPatch
):
    # given: nothing listens there
    monkeypatch.setenv(WEBHOOK, "http://127.0.0.1:9")
    report(drift, MOVED, MOVED)

    # then
    for _ in range(2):
        with pytest.raises(WebhookError):
            drift.tick()


def test_a_source_that_stays_away_is_named_in_one_alert(drift: SensorTicks, source: Path, webhook: Served):
    # given
    report(drift, MOVED, MOVED)
    source.unlink()

    # when
    drift.tick()
    drift.tick()

    # then
    [text] = texts(webhook)
    assert f"(Universe drifted): the source can't be found: {source}: no such file" in text


@pytest.mark.parametrize(
    ("windows", "reason"),
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
    drift: SensorTicks, windows: list[dict[str, int]], reason: str
):
    # given
    report(drift, *windows)

    # then
    assert drift.skips().startswith(reason)


def test_while_a_retraining_is_going_nothing_is_requested(drift: SensorTicks):
    # given
    report(drift, MOVED, MOVED)
    create_run_for_test(drift.instance, job_name="retrain", status=dg.DagsterRunStatus.STARTED)

    # then
    assert "is retraining already" in drift.skips()


@dg.op
def breaks() -> None:
    raise dg.Failure("characters.csv: the file is empty.")


@dg.job
def broken() -> None:
    breaks()


def test_runs_that_were_started_at_the_command_line_are_seen():
    # given: the first tick notes where the sensor begins
    instance = dg.DagsterInstance.ephemeral()
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


def test_the_webhook_gets_a_message_with_run_job_step_and_reason(webhook: Served):
    # given
    instance = dg.DagsterInstance.ephemeral()
    result = broken.execute_in_process(instance=instance, raise_on_error=False)

    # when
    context = dg.build_run_status_sensor_context(
        run_failure_alert.name, result.get_run_failure_event(), instance, result.dagster_run
    )
    run_failure_alert(context.for_run_failure())

    # then
    text = f"Run {result.run_id[:8]} of broken failed in breaks: characters.csv: the file is empty."
    assert texts(webhook) == [text]


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
