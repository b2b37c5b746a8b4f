"""Texts of unknown origin, made so that they do nothing where a person reads them."""

from __future__ import annotations

import re

LONGEST_NAME = 80

_BEGINS_SOMETHING = re.compile(r"[\\`*\[\]<>&|~$@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", re.IGNORECASE)
_NO_PART_OF_A_NAME = re.compile(r"[^\w .,'?+-]|(?<![^\W_])_|_(?![^\W_])")


def printable(text: str) -> str:
    r"""For logs, errors and terminals: what can't be printed as the escape that Python writes for it.

    So a line break is ``\n``, a terminal's escape sequence begins with ``\x1b``, and a byte of a file name that is no
    UTF-8 is ``\udc…``.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def in_words(name: str) -> str:
    """For sentences that are shown as text here and as Markdown there: signs that no name needs become a dot."""
    return _NO_PART_OF_A_NAME.sub("·", name[:LONGEST_NAME])


def as_markdown(text: str) -> str:
    """For Markdown within a line: a text that is shown letter by letter, in a table's cell as well.

    What could begin a tag, a link, a picture, code, a formula or the next cell becomes a character reference. Unlike a
    backslash, it is read the same by every kind of Markdown, and by HTML.
    """
    return _BEGINS_SOMETHING.sub(lambda sign: f"&#{ord(sign[0])};", printable(text))
