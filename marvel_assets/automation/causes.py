"""Why a step failed, in the words of what failed."""

import re
from collections.abc import Iterator

from marvel_assets import room
from marvel_assets.home import Home

SELF_EXPLAINING = re.compile(r"^(dagster\._core\.definitions\.events\.Failure|marvel_assets\.[\w.]+Error): ")
"""Errors whose text is a sentence of its own, without the class before it."""


def cause_of(error: object) -> str:
    """What an error of the project's own says, else what the asset raised. A full disk is told with a way out.

    What is around the asset's error is Dagster's account of where; what is within an error of the project's own is what
    it was made of, such as a bare "timed out". Libraries put errors around it that don't name the server, and don't
    always call it the cause.
    """
    while str(getattr(error, "cls_name", "")).startswith("Dagster") and getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    own = next((cause for cause in _chain(error) if SELF_EXPLAINING.match(_text(cause))), error)
    return room.with_advice(SELF_EXPLAINING.sub("", _text(own)), Home.from_environment())


def _chain(error: object) -> Iterator[object]:
    """An error, and what it was raised from or while."""
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or getattr(error, "context", None)


def _text(error: object) -> str:
    return str(getattr(error, "message", error)).strip()
