"""Whether a server answers, asked once and in bounded time."""

from __future__ import annotations

SECONDS = 10
SERVER_ERRORS = 500


def problem_with(url: str, what: str, remedy: str) -> str | None:
    """What keeps a server from being used, or None.

    Args:
        url: of a page that answers without a login.
        what: the server, for the sentence.
        remedy: what to do about it.
    """
    import requests

    from marvel_assets.tracking.patient_http import PatientAdapter, ServerUnavailableError

    with requests.Session() as session:
        session.mount(url, PatientAdapter())
        try:
            answer = session.get(url, timeout=SECONDS)
        except ServerUnavailableError as error:
            return f"{what} at {url} {error.reason}. {remedy}"
    if answer.status_code >= SERVER_ERRORS:
        return f"{what} at {url} answers {answer.status_code} {answer.reason}. {remedy}"
    return None
