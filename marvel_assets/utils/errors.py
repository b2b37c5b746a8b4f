"""Causes of errors, and validation errors in plain lines."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 100


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, then its cause or context, and so on to the innermost."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def root_cause(error: BaseException) -> BaseException:
    """The innermost cause or context of an error."""
    return list(causes(error))[-1]


def describe_problems(error: ValidationError) -> list[str]:
    """One line for each problem, beginning with the key at fault."""
    lines = []
    for problem in error.errors():
        given, context = SHORT.repr(problem["input"]), problem.get("ctx", {})
        match problem["type"]:
            case "extra_forbidden":
                text = "unknown key"
            case "missing":
                text = "missing key"
            case "string_pattern_mismatch":
                text = f"{given} does not match {context['pattern']}"
            case "value_error":
                text = str(context["error"])
            case _:
                text = f"{problem['msg']} (found {given})"
        key = ".".join(str(part) for part in problem["loc"])
        lines.append(f"{key}: {text}" if key else text)
    return lines
