"""The models' signatures, declared by hand: inferred ones would refuse valid input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from mlflow.models import ModelSignature

    from marvel_assets.datasets.base import Dataset


def basic_signature(features: Sequence[str], target: str) -> ModelSignature:
    """The basic model's signature: features in, the class 0 or 1 out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(inputs=_inputs(features), outputs=Schema([ColSpec("long", target)]))


def custom_signature(features: Sequence[str], answer: str) -> ModelSignature:
    """The custom model's signature: features in, ``{answer: ["alive", …]}`` out, and the parameters that add to it."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    from marvel_assets.model.wrapper import EXPLAIN, PROBABILITY

    return ModelSignature(
        inputs=_inputs(features),
        outputs=Schema([ColSpec(Array(DataType.string), answer)]),
        params=ParamSchema([ParamSpec(name, DataType.boolean, default=False) for name in (PROBABILITY, EXPLAIN)]),
    )


def example_frame(dataset: Dataset, features: Sequence[str]) -> pd.DataFrame:
    """The data set's two examples, as a caller would send them."""
    import pandas as pd

    return pd.DataFrame({name: list(dataset.by_name[name].examples) for name in features})


def _inputs(features: Sequence[str]) -> Any:  # noqa: ANN401
    """The features by name, of any type: the pipeline's first step checks and converts them.

    MLflow's types are stricter than their names: a double column refuses integers and booleans, a string column refuses
    categories and columns of NaN only, and both refuse nullable and Arrow types.
    """
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    any_type = AnyType()  # type: ignore[no-untyped-call]
    return Schema([ColSpec(any_type, name, required=False) for name in features])
