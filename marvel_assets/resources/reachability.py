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

    try:
        answer = requests.get(url, timeout=SECONDS)
    except requests.RequestException as error:
        reason = f"no answer within {SECONDS} s" if isinstance(error, requests.Timeout) else _innermost(error)
        return f"{what} at {url} can't be reached: {reason}. {remedy}"
    if answer.status_code >= SERVER_ERRORS:
        return f"{what} at {url} answers {answer.status_code} {answer.reason}. {remedy}"
    return None


def _innermost(error: BaseException) -> str:
    """The system's own words: what requests and urllib3 wrap around them repeats the URL."""
    cause: BaseException = error
    while cause.__cause__ or cause.__context__:
        cause = cause.__cause__ or cause.__context__ or cause
    return str(cause)
