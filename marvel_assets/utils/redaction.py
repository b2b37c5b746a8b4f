"""Removes secrets from texts, and escapes them for logs, terminals and Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

WEB_SCHEMES = frozenset({"http", "https"})
MAX_NAME_LENGTH = 80
CONNECT_URL = re.compile(
    r"[^@?;]*(;(use_ssl|user_id|user_agent|session_id|x-databricks-cluster-id|grpc_max_message_size)=[^;]*)*;?"
)
"""A Spark Connect address without a secret. Other parameters are sent as headers, and may hold one."""

SECRET_KEY = re.compile(r"secret|passw|token|credential|(access|account)[._-]?key|sas[._-]", re.IGNORECASE)
"""Settings that Spark redacts, and those of storage clients."""

MARKDOWN_SYNTAX = re.compile(r"[\\`*\[\]<>&|~$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
NOT_IN_LABELS = re.compile(r"[^\w .,'?+-]|(?<![^\W_])_|_(?![^\W_])")


def redact_url(url: str) -> str:
    """A URL without user, password, query and fragment, such as ``https://example.com/x.csv?…``."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is not a number, as in http://user:p/ssword@host
    except ValueError:
        return f"{url.partition('://')[0]}://… (an address that can't be parsed)"
    scheme, query = f"{parts.scheme}://" if parts.scheme else "", "?…" if parts.query else ""
    return f"{scheme}{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def address_problem(address: str, secrets_belong_in: str, schemes: Collection[str] = WEB_SCHEMES) -> str | None:
    """Why an address can't be used, since pages and logs will show it; None if it can. The text doesn't repeat it.

    Args:
        address: a URL from a variable; the text continues a sentence that begins with the variable's name.
        secrets_belong_in: the variables for a user name, password or token.
        schemes: those that are accepted.
    """
    expected = f"is not an address such as https://server:8080 ({', '.join(sorted(filter(None, schemes)))})."
    try:
        parts = urlsplit(address)
        is_web = parts.scheme in WEB_SCHEMES
        is_odd = parts.port == 0 or (is_web and not re.fullmatch(r"[\w.:-]+", parts.hostname or ""))
    except ValueError:  # a bracket that is never closed, a port that is not a number
        return expected
    # The user of a database may be shown, and so may a storage container there; a web server's may be a token.
    if parts.password is not None or ("@" in address and (is_web or not parts.scheme)):
        return f"holds a password, which would be shown; put it into {secrets_belong_in}."
    if parts.query or parts.fragment:
        return f"has a query or a fragment, which would be shown; put what is secret into {secrets_belong_in}."
    return expected if is_odd or parts.scheme.partition("+")[0] not in schemes else None


def connect_url_problem(url: str) -> str | None:
    """Why the address of a Spark Connect server may hold a secret; None if not. The text doesn't repeat it."""
    if CONNECT_URL.fullmatch(url):
        return None
    return (
        "may hold a password or token, which would be shown in logs and pages; put a token into "
        "SPARK_CONNECT_AUTHENTICATE_TOKEN. Expected sc://host:port, with no parameters but use_ssl, user_id, "
        "user_agent, session_id, x-databricks-cluster-id and grpc_max_message_size."
    )


def may_hold_secret(key: str, value: str) -> bool:
    """Whether a Spark setting may hold a secret, by its name or by a URL with credentials in its value."""
    return bool(SECRET_KEY.search(key) or re.search(r"://[^/\s@]*@", value))


def escape_control(text: str) -> str:
    r"""For logs, errors and terminals: unprintable characters become Python's escapes, such as ``\n``."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def sanitize_label(name: str) -> str:
    """For sentences that are shown both as text and as Markdown: characters that may be Markdown become a dot."""
    return NOT_IN_LABELS.sub("·", name[:MAX_NAME_LENGTH])


def escape_markdown(text: str) -> str:
    """For Markdown within a line or a table's cell: the text is shown literally.

    Characters that could begin a tag, a link, an image, code, a formula or the next cell become character references.
    Unlike backslashes, every Markdown renderer and HTML understand them.
    """
    return MARKDOWN_SYNTAX.sub(lambda sign: f"&#{ord(sign[0])};", escape_control(text))
