"""Texts of unknown origin, made so that they do nothing where a person reads them."""

from __future__ import annotations

import re

_MARKDOWN = re.compile(r"[\\`*_{}\[\]()<>#+.!|~$&:@/\"'=^-]")


def printable(text: str) -> str:
    r"""For logs, errors and terminals: what can't be printed as the escape that Python writes for it.

    So a line break is ``\n``, a terminal's escape sequence begins with ``\x1b``, and a byte of a file name that is no
    UTF-8 is ``\udc…``.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def as_markdown(text: str) -> str:
    """For Markdown: a text that is shown letter by letter, in a table's cell as well.

    Each sign that could begin something, be it a tag, a link, a picture, a formula or the next cell, becomes a
    character reference. Unlike a backslash, it is read the same by every kind of Markdown, and by HTML.
    """
    return _MARKDOWN.sub(lambda sign: f"&#{ord(sign[0])};", printable(text))
