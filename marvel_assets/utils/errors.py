"""What led to an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, then the one that it was raised from or while, and so on to the innermost."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def root_cause(error: BaseException) -> BaseException:
    """The innermost error: the one that all others were raised from or while."""
    *_, innermost = causes(error)
    return innermost
