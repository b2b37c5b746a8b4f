"""What is told of a failed run, and to whom."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData

from marvel_assets.defs.alerts import WEBHOOK, WebhookError, post
from marvel_assets.defs.monitoring.sensors import failure_message, run_failure_alert

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


class Receiver(HTTPServer):
    """A webhook on this machine."""

    def __init__(self, status: int = 200) -> None:
        self.received: list[dict[str, str]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Be quiet."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{ADDRESS_PART}"


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_message_names_run_job_step_and_reason(context: dg.RunFailureSensorContext):
    # when
    message = failure_message(context)

    # then
    run = context.dagster_run.run_id
    assert message["text"] == f"Run {run[:8]} of broken failed in breaks: characters.csv: the file is empty."
    assert (message["run_id"], message["job"], message["step"]) == (run, "broken", "breaks")


def test_the_webhook_gets_the_message(
    context: dg.RunFailureSensorContext, webhook: Receiver, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv(WEBHOOK, webhook.url)

    # when
    run_failure_alert(context)

    # then
    assert webhook.received == [failure_message(context)]


def test_without_a_webhook_nothing_is_posted(
    context: dg.RunFailureSensorContext, webhook: Receiver, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.delenv(WEBHOOK, raising=False)

    # when
    run_failure_alert(context)

    # then
    assert webhook.received == []


def test_a_webhook_that_is_gone_is_told_without_its_address():
    # when
    with pytest.raises(WebhookError) as error:
        post(f"http://127.0.0.1:1/{ADDRESS_PART}", {})

    # then
    assert "can't be reached" in str(error.value)
    assert ADDRESS_PART not in str(error.getrepr(chain=True))


def test_a_webhook_that_refuses_is_told():
    # given
    with Receiver(status=403) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()

        # then
        with pytest.raises(WebhookError, match="answers with HTTP 403"):
            post(server.url, {})
