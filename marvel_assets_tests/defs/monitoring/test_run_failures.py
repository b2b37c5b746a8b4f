"""What is reported of a failed run, and to whom."""

import json

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from marvel_assets.defs.alerts import WEBHOOK, WebhookError, post
from marvel_assets.defs.monitoring.sensors import failure_text, run_failure_alert
from marvel_assets_tests.servers.scripted import Answer, serving

ADDRESS_PART = "known-to-nobody"


@dg.op
def breaks() -> None:
    raise dg.Failure("characters.csv: the file is empty.")


@dg.job
def broken() -> None:
    breaks()


@pytest.fixture
def context() -> dg.RunFailureSensorContext:
    """Of a run that really failed."""
    instance = dg.DagsterInstance.ephemeral()
    result = broken.execute_in_process(instance=instance, raise_on_error=False)
    return dg.build_run_status_sensor_context(
        sensor_name="run_failure_alert",
        dagster_event=result.get_run_failure_event(),
        dagster_instance=instance,
        dagster_run=result.dagster_run,
    ).for_run_failure()


def test_runs_that_were_started_at_the_command_line_are_seen():
    # given: the first tick notes where the sensor begins
    instance = dg.DagsterInstance.ephemeral()
    repository = dg.Definitions(jobs=[broken], sensors=[run_failure_alert]).get_repository_def()

    def tick(cursor: str | None) -> SensorExecutionData:
        context = dg.build_sensor_context(
            instance, cursor, repository_def=repository, sensor_name=run_failure_alert.name, last_sensor_start_time=1.0
        )
        return run_failure_alert.evaluate_tick(context)

    first = tick(None)
    broken.execute_in_process(instance=instance, raise_on_error=False)

    # when
    second = tick(first.cursor)

    # then
    assert len(second.dagster_run_reactions) == 1


def test_the_message_names_run_job_step_and_reason(context: dg.RunFailureSensorContext):
    run = context.dagster_run.run_id[:8]
    assert failure_text(context) == f"Run {run} of broken failed in breaks: characters.csv: the file is empty."


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "not named"])
def test_a_webhook_that_is_named_gets_the_message(
    context: dg.RunFailureSensorContext, monkeypatch: pytest.MonkeyPatch, *, is_named: bool
):
    # given
    with serving(lambda _: Answer()) as webhook:
        monkeypatch.setenv(WEBHOOK, webhook.url if is_named else "")

        # when
        run_failure_alert(context)

    # then
    assert [json.loads(body) for body in webhook.bodies] == [{"text": failure_text(context)}] * is_named


def test_a_webhook_that_is_gone_is_reported_without_its_address():
    # when
    with pytest.raises(WebhookError) as error:
        post(f"http://127.0.0.1:1/{ADDRESS_PART}", {})

    # then
    assert "can't be reached" in str(error.value)
    assert ADDRESS_PART not in str(error.getrepr(chain=True))


@pytest.mark.parametrize("status", [301, 403])
def test_a_webhook_that_refuses_or_redirects_is_reported(status: int):
    # given
    with serving(lambda _: Answer(status)) as webhook, pytest.raises(WebhookError, match=f"answers with HTTP {status}"):
        # when
        post(webhook.url, {})
