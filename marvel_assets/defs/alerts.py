"""What a run reports to people: the cause of a failure in a sentence, short log lines, a message to the webhook."""

import logging
import os
import re
import sys
import time
from typing import Any

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from marvel_assets.tracking.mlflow_store import add_outage_hint

WEBHOOK = "MARVEL_WEBHOOK_URL"

SELF_EXPLAINING = re.compile(r"^(dagster\._core\.definitions\.events\.Failure|marvel_assets\.[\w.]+Error): ")
"""Errors whose text needs no class name before it."""


class WebhookError(RuntimeError):
    """The webhook did not accept the message. Its URL is a secret, and is not shown."""


def cause_of(error: SerializableErrorInfo) -> str:
    """The message of the project's own error in the chain, else the asset's error with its root cause.

    Left out are Dagster's errors around it, which only say where it happened, and the causes of a project's error.
    """
    chain = [error]
    while inner := chain[-1].cause or chain[-1].context:
        chain.append(inner)
    if any(each.cls_name in {"KeyboardInterrupt", "DagsterExecutionInterruptedError"} for each in chain):
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
    """Post a text to the webhook that MARVEL_WEBHOOK_URL names, if it names one; a WebhookError fails the tick."""
    import requests

    address = os.environ.get(WEBHOOK)
    if not address:
        return
    try:
        answer = requests.post(address, json={"text": text}, timeout=10, allow_redirects=False)
    except requests.RequestException as error:
        # Its text holds the address.
        raise WebhookError(f"The webhook of {WEBHOOK} can't be reached: {type(error).__name__}.") from None
    if answer.status_code >= requests.codes.multiple_choices:  # a redirect does not deliver it, either
        raise WebhookError(f"The webhook of {WEBHOOK} answers with HTTP {answer.status_code}.")


class _BriefHandler(logging.StreamHandler[Any]):
    """Prints time, step and message; of Dagster's events, only failures, each with its cause but no stack trace."""

    def emit(self, record: logging.LogRecord) -> None:
        metadata = getattr(record, "dagster_meta", {})
        event, message = metadata.get("dagster_event"), metadata.get("orig_message") or record.getMessage()
        if event is not None and event.is_step_failure:
            message = f"failed: {cause_of(event.step_failure_data.error)}"
        elif event is not None or message.startswith("Dependencies for step"):  # which a failure prevented
            return
        line = f"{time.strftime('%H:%M:%S')}  {metadata.get('step_key') or 'run':<24} {message}"
        super().emit(logging.makeLogRecord({"msg": line}))


@dg.logger(config_schema=None, description="Short lines for the command line; Dagster's pages have the full log.")
def brief_console(_: dg.InitLoggerContext) -> logging.Logger:
    """Log without Dagster's events."""
    logger = logging.Logger("brief", level=logging.INFO)  # noqa: LOG001
    logger.addHandler(_BriefHandler(sys.stdout))
    return logger
