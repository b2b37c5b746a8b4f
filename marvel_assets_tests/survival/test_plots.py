"""Plots are pictures of something."""

import io

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.pipeline import Pipeline

from marvel_assets.survival import plots
from marvel_assets.survival.schema import TARGET
from marvel_assets_tests.survival.conftest import FEATURE_NAMES


def pixels(figure: Figure) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(plots.to_png(figure)), format="png")


@pytest.mark.parametrize(
    "plot", [plots.roc_curve, plots.precision_recall_curve, plots.confusion_matrix, plots.calibration_curve]
)
def test_a_plot_of_probabilities_shows_another_picture_for_other_probabilities(
    plot, fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # given
    alive = sets["test"][TARGET].to_numpy()
    probability = fitted.predict_proba(sets["test"][FEATURE_NAMES])[:, 1]

    # when
    picture, other = pixels(plot(alive, probability)), pixels(plot(alive, 1 - probability))

    # then
    assert picture.shape == other.shape
    assert min(picture.shape[:2]) >= 300
    assert (picture != other).any()


def test_importances_name_every_feature_once(fitted: Pipeline):
    # when
    [axes] = plots.feature_importance(fitted).axes

    # then
    assert sorted(label.get_text() for label in axes.get_yticklabels()) == sorted(FEATURE_NAMES)
    assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(1)
