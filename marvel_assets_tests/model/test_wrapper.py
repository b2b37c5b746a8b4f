"""The custom model: labels, whatever else is sent along."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc import PythonModelContext
from sklearn.pipeline import Pipeline

from marvel_assets.model.wrapper import ARTIFACT, MarvelModelWrapper
from marvel_assets_tests.fitted_rows import FEATURE_NAMES

CONFIG = {"answer": "Survival prediction", "labels": ["dead", "alive"]}


@pytest.fixture(scope="module")
def wrapper(basic_model: Path) -> MarvelModelWrapper:
    made = MarvelModelWrapper()
    made.load_context(PythonModelContext({ARTIFACT: str(basic_model)}, CONFIG))
    return made


def test_it_answers_with_labels_for_the_basic_models_classes(
    wrapper: MarvelModelWrapper, fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # given
    rows = sets["test"][FEATURE_NAMES]

    # when: other columns and another order change nothing
    answer = wrapper.predict(None, sets["test"][sets["test"].columns[::-1]])

    # then
    assert answer == {"Survival prediction": ["alive" if label else "dead" for label in fitted.predict(rows)]}
    assert set(answer["Survival prediction"]) == {"alive", "dead"}


def test_absent_measures_are_missing_measures(wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame]):
    # given
    rows = sets["test"][FEATURE_NAMES]
    without = rows.drop(columns=["Height", "Weight"])

    # then
    assert wrapper.predict(None, without) == wrapper.predict(None, rows.assign(Height=np.nan, Weight=np.nan))


@pytest.mark.parametrize("params", [{}, {"probability": True}, {"probability": True, "explain": True}])
def test_no_rows_are_answered_with_no_rows_under_the_same_keys(
    wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame], params: dict[str, bool]
):
    # given
    rows = sets["test"][FEATURE_NAMES]

    # when
    answer = wrapper.predict(None, rows.head(0), params)

    # then
    assert answer == {key: [] for key in wrapper.predict(None, rows.head(1), params)}


def test_parameters_add_probabilities_and_contributions(
    wrapper: MarvelModelWrapper, fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # when
    rows = sets["test"][FEATURE_NAMES].head(300)
    answer = wrapper.predict(None, rows, {"probability": True, "explain": True})

    # then
    assert answer["probability"] == fitted.predict_proba(rows)[:, 1].tolist()
    assert {tuple(each) for each in answer["contributions"]} == {tuple(FEATURE_NAMES)}
    assert answer["Survival prediction"] == wrapper.predict(None, rows)["Survival prediction"]


def test_the_three_strongest_features_are_named_with_the_label_that_they_favour(
    wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame]
):
    # given
    row = sets["test"].head(1).assign(Height=None)

    # when
    answer = wrapper.predict(None, row, params={"explain": True})

    # then
    [contributions], [why] = answer["contributions"], answer["why"]
    strongest = sorted(contributions, key=lambda name: abs(contributions[name]))[:-4:-1]
    cells = row.iloc[0].fillna("missing")
    assert why.split(", ") == [
        f"{name}={cells[name]} ({'alive' if contributions[name] > 0 else 'dead'})" for name in strongest
    ]
