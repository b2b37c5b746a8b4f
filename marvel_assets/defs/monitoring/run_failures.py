"""The sensor that tells of failed runs."""

import os

import dagster as dg

from marvel_assets.defs.monitoring.causes import cause_of

WEBHOOK = "MARVEL_WEBHOOK_URL"
SECONDS = 10


class WebhookError(RuntimeError):
    """The webhook did not take the message. Its address is a secret, and is not told."""


@dg.run_failure_sensor(
    description=f"Logs why a run failed, and posts it to the webhook that {WEBHOOK} names.",
    # Runs of the command line belong to no code location. All runs of the home's instance are this project's.
    monitor_all_code_locations=True,
)
def run_failure_alert(context: dg.RunFailureSensorContext) -> None:
    """One message for each failed run: job, step, reason."""
    message = what_failed(context)
    context.log.error(message["text"])
    if address := os.environ.get(WEBHOOK):
        post(address, message)


def what_failed(context: dg.RunFailureSensorContext) -> dict[str, str]:
    """The message: ``text`` for people (and chat services), the parts for programs."""
    run = context.dagster_run
    steps = {
        event.step_key or "": cause_of(event.step_failure_data.error) for event in context.get_step_failure_events()
    }
    step, reason = next(iter(steps.items()), ("", context.failure_event.message or "the worker ended without a word"))
    where = f" in {step}" if step else ""
    return {
        "text": f"Run {run.run_id[:8]} of {run.job_name} failed{where}: {reason}",
        "run_id": run.run_id,
        "job": run.job_name,
        "step": step,
        "reason": reason,
    }


def post(address: str, message: dict[str, str]) -> None:
    """Post a message as JSON.

    Raises:
        WebhookError: it was not taken; the tick fails and shows it.
    """
    import requests

    try:
        answer = requests.post(address, json=message, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        # Its text holds the address.
        raise WebhookError(f"The webhook of {WEBHOOK} can't be reached: {type(error).__name__}.") from None
    if not answer.ok:
        raise WebhookError(f"The webhook of {WEBHOOK} answers with HTTP {answer.status_code}.")
