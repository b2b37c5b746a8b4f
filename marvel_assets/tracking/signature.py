"""What the models take and answer, declared by hand: an inferred signature would refuse what callers send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from marvel_assets.datasets.marvel_kaggle.columns import EXAMPLE, TARGET

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from mlflow.models import ModelSignature


def basic_signature(features: Sequence[str]) -> ModelSignature:
    """The basic model's signature: features in, the class 0 or 1 out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(inputs=_inputs(features), outputs=Schema([ColSpec("long", TARGET)]))


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


def example_frame(features: Sequence[str]) -> pd.DataFrame:
    """The example characters, as a caller would send them."""
    import pandas as pd

    return pd.DataFrame({name: EXAMPLE[name] for name in features})


def _inputs(features: Sequence[str]) -> Any:  # noqa: ANN401
    """The features by name, of any type: the pipeline's first step knows which of them are numbers and which text.

    A declared type is stricter than it says. A column of doubles takes no whole numbers but 0 and 1 and no truth
    values, one of strings no categories and no column of NaN alone, and neither takes a nullable or an Arrow type.
    """
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    any_type = AnyType()  # type: ignore[no-untyped-call]
    return Schema([ColSpec(any_type, name, required=False) for name in features])
