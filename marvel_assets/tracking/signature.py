"""What the models take and answer, declared by hand: an inferred signature would refuse what callers send."""

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
    """Features to ``{answer: ["alive", …]}``, and the parameters that ask for more than that."""
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
    """The features by name, of any type: the pipeline's first step knows which of them are numbers and which text.

    A declared type is stricter than it says. A column of doubles takes no whole numbers but 0 and 1 and no truth
    values, one of strings no categories and no column of NaN alone, and neither takes a nullable or an Arrow type.
    """
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    any_type = AnyType()  # type: ignore[no-untyped-call]
    return Schema([ColSpec(any_type, name, required=False) for name in features])
