"""Causes of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, then its cause or context, and so on to the innermost."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def root_cause(error: BaseException) -> BaseException:
    """The innermost cause or context of an error."""
    return list(causes(error))[-1]
