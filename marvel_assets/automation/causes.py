"""Why a step failed, in the words of what failed."""

import re

from marvel_assets import room
from marvel_assets.home import Home

SELF_EXPLAINING = re.compile(r"^(dagster\._core\.definitions\.events\.Failure|marvel_assets\.[\w.]+Error): ")
"""Errors whose text is a sentence of its own, without the class before it."""


def cause_of(error: object) -> str:
    """What the asset raised; what is around it is Dagster's account of where. A full disk is told with a way out."""
    while str(getattr(error, "cls_name", "")).startswith("Dagster") and getattr(error, "cause", None) is not None:
        error = error.cause  # type: ignore[attr-defined]
    told = SELF_EXPLAINING.sub("", str(getattr(error, "message", error)).strip())
    return room.with_advice(told, Home.from_environment())
