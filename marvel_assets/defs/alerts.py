"""What a run reports to people: the cause of a failure in a sentence, short log lines, a message to the webhook."""

import logging
import os
import re
import sys

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from marvel_assets.tracking.mlflow_store import add_outage_hint

WEBHOOK = "MARVEL_WEBHOOK_URL"

SELF_EXPLAINING = re.compile(r"^(dagster\._core\.definitions\.events\.Failure|marvel_assets\.[\w.]+Error): ")
"""Errors whose text needs no class name before it."""

INTERRUPTIONS = {"KeyboardInterrupt", "DagsterExecutionInterruptedError"}


class WebhookError(RuntimeError):
    """The webhook did not accept the message. Its URL is a secret, and is not shown."""


def cause_of(error: SerializableErrorInfo) -> str:
    """The message of the project's own error in the chain, else the asset's error with its root cause.

    Dagster's errors around it, which only say where it happened, are left out, and so are the causes of a project's
    error, such as a bare "timed out". Libraries may wrap the project's error as cause or as context.
    """
    chain = [error]
    while inner := chain[-1].cause or chain[-1].context:
        chain.append(inner)
    if any(each.cls_name in INTERRUPTIONS for each in chain):
        return "interrupted; run it again, finished work is kept"
    while len(chain) > 1 and str(chain[0].cls_name).startswith("Dagster"):
        del chain[0]
    messages = [each.message.strip() for each in chain]
    for message in messages:
        if SELF_EXPLAINING.match(message):
            return add_outage_hint(SELF_EXPLAINING.sub("", message))
    first, root = messages[0], messages[-1]
    return add_outage_hint(first if root in first else f"{first} ({root})")


def post(text: str) -> None:
    """Post a text to the webhook that MARVEL_WEBHOOK_URL names, if it names one.

    Raises:
        WebhookError: it was not accepted; the tick fails and shows it.
    """
    import requests

    if not (address := os.environ.get(WEBHOOK)):
        return
    try:
        answer = requests.post(address, json={"text": text}, timeout=10, allow_redirects=False)
    except requests.RequestException as error:
        # Its text holds the address.
        raise WebhookError(f"The webhook of {WEBHOOK} can't be reached: {type(error).__name__}.") from None
    if answer.status_code >= requests.codes.multiple_choices:  # a redirect does not deliver it, either
        raise WebhookError(f"The webhook of {WEBHOOK} answers with HTTP {answer.status_code}.")


class _Brief(logging.Formatter):
    """Time, step and message; for a failure, its cause without a stack trace."""

    def format(self, record: logging.LogRecord) -> str:
        metadata = getattr(record, "dagster_meta", {})
        event = metadata.get("dagster_event")
        message = metadata.get("orig_message") or record.getMessage()
        if event is not None and event.is_step_failure:
            message = f"failed: {cause_of(event.step_failure_data.error)}"
        return f"{self.formatTime(record, '%H:%M:%S')}  {metadata.get('step_key') or 'run':<24} {message}"


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Whether a record is a step's message or failure; steps that a failure prevented are left out."""
    metadata = getattr(record, "dagster_meta", {})
    event = metadata.get("dagster_event")
    if event is not None:
        return bool(event.is_step_failure)
    return not str(metadata.get("orig_message", "")).startswith("Dependencies for step")


@dg.logger(config_schema=None, description="Short lines for the command line; Dagster's pages have the full log.")
def brief_console(_: dg.InitLoggerContext) -> logging.Logger:
    """Log without Dagster's events."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Brief())
    handler.addFilter(_is_worth_a_line)
    logger = logging.Logger("brief", level=logging.INFO)  # noqa: LOG001
    logger.addHandler(handler)
    return logger
