"""Removes secrets from texts, and escapes them for logs, terminals and Markdown."""

import re
from urllib.parse import urlsplit

MAX_NAME_LENGTH = 80
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


def escape_control(text: str) -> str:
    r"""For logs, errors and terminals: unprintable characters become Python's escapes, such as ``\n``."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def sanitize_label(name: str) -> str:
    """For sentences that are shown both as text and as Markdown: characters that may be Markdown become a dot."""
    return NOT_IN_LABELS.sub("·", name[:MAX_NAME_LENGTH])


def escape_markdown(text: str) -> str:
    """For Markdown within a line or a table's cell: the text is shown literally.

    Characters that could begin a tag, a link, an image, code, a formula or the next cell become character references.
    Unlike backslashes, every Markdown renderer and HTML understand them.
    """
    return MARKDOWN_SYNTAX.sub(lambda found: f"&#{ord(found[0])};", escape_control(text))
