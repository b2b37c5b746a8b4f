"""Causes of errors, and validation errors in plain lines."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, then its cause or context, and so on to the innermost."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def root_cause(error: BaseException) -> BaseException:
    """The innermost cause or context of an error."""
    *_, innermost = causes(error)
    return innermost


def describe_problems(error: ValidationError, prefix: str = "") -> list[str]:
    """One line for each problem, beginning with the key at fault."""
    lines = []
    for problem in error.errors():
        key = (prefix + ".".join(str(part) for part in problem["loc"])).rstrip(".")
        given = shorten(problem["input"])
        match problem["type"]:
            case "extra_forbidden":
                lines.append(f"{key}: unknown key")
            case "missing":
                lines.append(f"{key}: missing key")
            case "string_pattern_mismatch":
                lines.append(f"{key}: {given} does not match {problem['ctx']['pattern']}")
            case "value_error":
                lines.append(f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"]))
            case _:
                lines.append(f"{key}: {problem['msg']} (found {given})")
    return lines


def shorten(value: object) -> str:
    """A value as errors show it: never longer than a line."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = 100
    return brief.repr(value)
