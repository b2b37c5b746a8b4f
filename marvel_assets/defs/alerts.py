"""Alerts of failures: the cause in a sentence, and a message to the webhook."""

import re
from collections.abc import Iterator
from http import HTTPStatus

from marvel_assets.defs.disk_space import add_disk_hint
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.health import add_outage_hint

WEBHOOK = "MARVEL_WEBHOOK_URL"
SECONDS = 10

SELF_EXPLAINING = re.compile(r"^(dagster\._core\.definitions\.events\.Failure|marvel_assets\.[\w.]+Error): ")
"""Errors whose text needs no class name before it."""

INTERRUPTIONS = {"KeyboardInterrupt", "DagsterExecutionInterruptedError"}


class WebhookError(RuntimeError):
    """The webhook did not accept the message. Its URL is a secret, and is not shown."""


def cause_of(error: object) -> str:
    """The message of the project's own error in the chain, else the asset's error with its root cause.

    Dagster's errors around it, which only say where it happened, are left out, and so are the causes of a project's
    error, such as a bare "timed out". Libraries may wrap the project's error as cause or as context. If the disk is
    full, the text says what to do.
    """
    while str(getattr(error, "cls_name", "")).startswith("Dagster") and getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    chain = list(_chain(error))
    if any(getattr(cause, "cls_name", "") in INTERRUPTIONS for cause in chain):
        return "interrupted; run it again, finished work is kept"
    own = next((cause for cause in chain if SELF_EXPLAINING.match(_text(cause))), None)
    message = _text(chain[0]) if own is None else SELF_EXPLAINING.sub("", _text(own))
    if own is None and _text(chain[-1]) not in message:
        message = f"{message} ({_text(chain[-1])})"
    return add_disk_hint(add_outage_hint(message), ProjectPaths.from_environment())


def _chain(error: object) -> Iterator[object]:
    """An error, then its cause or context, and so on."""
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or getattr(error, "context", None)


def _text(error: object) -> str:
    return str(getattr(error, "message", error)).strip()


def post(address: str, message: dict[str, str]) -> None:
    """Post a message as JSON.

    Raises:
        WebhookError: it was not accepted; the tick fails and shows it.
    """
    import requests

    try:
        answer = requests.post(address, json=message, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        # Its text holds the address.
        raise WebhookError(f"The webhook of {WEBHOOK} can't be reached: {type(error).__name__}.") from None
    if answer.status_code >= HTTPStatus.MULTIPLE_CHOICES:  # a redirect does not deliver it, either
        raise WebhookError(f"The webhook of {WEBHOOK} answers with HTTP {answer.status_code}.")
