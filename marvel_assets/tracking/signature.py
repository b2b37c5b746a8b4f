"""What a logged model declares: its signature, an example of its input, and its requirements."""

from collections.abc import Sequence
from importlib.metadata import requires, version
from pathlib import Path

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType, Array
from packaging.requirements import Requirement

from marvel_assets.datasets.base import Dataset
from marvel_assets.model.wrapper import EXPLAIN, PROBABILITY


def basic_signature(features: Sequence[str], target: str) -> ModelSignature:
    """The basic model's signature: features in, the class 0 or 1 out."""
    return ModelSignature(_inputs(features), Schema([ColSpec("long", target)]))


def custom_signature(features: Sequence[str], answer: str) -> ModelSignature:
    """The custom model's signature: features in, ``{answer: ["alive", …]}`` out, and the parameters that add to it."""
    parameters = ParamSchema([ParamSpec(name, "boolean", default=False) for name in (PROBABILITY, EXPLAIN)])
    return ModelSignature(_inputs(features), Schema([ColSpec(Array("string"), answer)]), parameters)


def _inputs(features: Sequence[str]) -> Schema:
    """The features by name, of any type: the pipeline's first step checks and converts them.

    MLflow's types are stricter than their names, and would refuse valid input: a double column refuses integers and
    booleans, a string column refuses categories and columns of NaN only, and both refuse nullable and Arrow types.
    """
    any_type = AnyType()  # type: ignore[no-untyped-call]
    return Schema([ColSpec(any_type, name, required=False) for name in features])


def example_frame(dataset: Dataset, features: Sequence[str]) -> pd.DataFrame:
    """The data set's two examples, as a caller would send them."""
    return pd.DataFrame({name: list(dataset.by_name[name].examples) for name in features})


def requirements_with(wheel: Path) -> list[str]:
    """The installed versions of this package's base dependencies, and its wheel, which the ``code_paths`` hold."""
    names = sorted(Requirement(line).name for line in requires("marvel-assets") or [] if "extra ==" not in line)
    return [*(f"{name}=={version(name)}" for name in names), f"code/{wheel.name}"]
