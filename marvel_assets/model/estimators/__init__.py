"""The kinds of classifier that a pipeline can end with. Each is one file; ``KINDS`` lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from marvel_assets.model.estimators.base import Estimator
from marvel_assets.model.estimators.hist_gradient_boosting import HistGradientBoosting
from marvel_assets.model.estimators.lightgbm import LightGBM

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

KINDS: tuple[type[Estimator], ...] = (LightGBM, HistGradientBoosting)

AnyEstimator = Annotated[LightGBM | HistGradientBoosting, Field(discriminator="kind")]


def estimator_class(pipeline: Pipeline) -> type[Estimator]:
    """The kind of a pipeline's classifier."""
    name = type(pipeline[-1]).__name__
    return next(kind for kind in KINDS if kind.classifier_name == name)
