"""What the models take and answer, declared by hand: an inferred signature would refuse what callers send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marvel_assets.survival.schema import FLAGS, MEASURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from mlflow.models import ModelSignature

ANSWER = "Survival prediction"

EXAMPLE: dict[str, list[Any]] = {
    "Height": [1.85, None],
    "Weight": [90.7, None],
    "Universe": ["Earth-616", "Other"],
    "Identity": ["Secret", "Unknown"],
    "Gender": ["Male", "Female"],
    "Marital_Status": ["Single", "Unknown"],
    "Teams": [1, 0],
    "Origin": ["Mutant", "Human"],
    "Magic": [0, 1],
    "Mutant": [1, 0],
}
"""Two invented characters: one with everything known, one with what can be missing left out."""


def basic_signature(features: Sequence[str]) -> ModelSignature:
    """Features to 0 or 1. Every column may hold missing values; numbers may be integers or floats."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(inputs=_inputs(features), outputs=Schema([ColSpec("long", "Alive")]))


def custom_signature(features: Sequence[str]) -> ModelSignature:
    """Features to ``{"Survival prediction": ["alive", …]}``."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    return ModelSignature(inputs=_inputs(features), outputs=Schema([ColSpec(Array(DataType.string), ANSWER)]))


def example_frame(features: Sequence[str]) -> pd.DataFrame:
    """The example characters, as a caller would send them."""
    import pandas as pd

    return pd.DataFrame({name: EXAMPLE[name] for name in features})


def _inputs(features: Sequence[str]) -> Any:  # noqa: ANN401
    from mlflow.types import ColSpec, Schema

    numbers = {*MEASURES, *FLAGS}
    return Schema([ColSpec("double" if name in numbers else "string", name, required=False) for name in features])
