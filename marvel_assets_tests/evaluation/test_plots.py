"""Plots are pictures of something."""

import io

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from marvel_assets.evaluation import plots


def test_a_confusion_matrix_shows_the_counts():
    # given
    alive = np.array([1] * 7 + [0] * 5)
    probability = np.array([0.9] * 4 + [0.1] * 3 + [0.9] * 2 + [0.5] * 3)

    # when
    [axes] = plots.probability_plots(alive, probability, ("dead", "alive"))["confusion_matrix"].axes

    # then: dead called dead, dead called alive, alive called dead, alive called alive
    assert [text.get_text() for text in axes.texts] == ["3", "2", "3", "4"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["dead", "alive"]


@pytest.mark.parametrize("probability", [np.full(40, 0.75), np.tile([0.9, 0.1], 20)], ids=["one for all", "perfect"])
def test_plots_of_probabilities_are_pictures_of_something_whatever_the_model(probability: np.ndarray):
    # when
    figures = plots.probability_plots(np.tile([1, 0], 20), probability, ("dead", "alive"))

    # then
    assert list(figures) == ["roc_curve", "precision_recall_curve", "confusion_matrix", "calibration_curve"]
    for figure in figures.values():
        picture = matplotlib.image.imread(io.BytesIO(plots.to_png(figure)), format="png")
        assert picture.shape[:2] == (400, 550)
        assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 10


def test_shap_values_are_summed_up_by_feature_and_shown_row_by_row_in_the_color_of_the_value():
    # given: of Height the larger value speaks for one, and one value is missing
    contributions = pd.DataFrame({"Height": [-1.0, 2.0, 0.0], "Teams": [0.5, 0.5, 0.5]})
    values = pd.DataFrame({"Height": [1.5, 2.1, np.nan], "Teams": [1, 1, 0]})

    # when
    bars, dots, _ = plots.shap_summary(contributions, values, "alive").axes

    # then
    assert [bar.get_width() for bar in bars.patches] == [0.5, 1.0]
    _, height = dots.collections
    assert height.get_offsets()[:, 0].tolist() == [-1.0, 2.0, 0.0]
    assert height.get_array().filled(-1).tolist() == [0.5, 1.0, -1.0]
