"""Why a step failed, in the words of what failed."""

import re

SELF_EXPLAINING = re.compile(r"^(dagster\._core\.definitions\.events\.Failure|marvel_assets\.[\w.]+Error): ")
"""Errors whose text is a sentence of its own, without the class before it."""


def cause_of(error: object) -> str:
    """The innermost cause is what the asset raised; what is around it is Dagster's account of where."""
    while getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    return SELF_EXPLAINING.sub("", str(getattr(error, "message", error)).strip())
