"""The custom model: words, whatever else is sent along."""

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.pyfunc import PyFuncModel, PythonModelContext
from sklearn.pipeline import Pipeline

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.model import wrapper as wrapper_module
from marvel_assets.model.wrapper import ARTIFACT, MarvelModelWrapper
from marvel_assets.tracking.signature import custom_signature, example_frame
from marvel_assets_tests.fitted_rows import FEATURE_NAMES
from marvel_assets_tests.kaggle import OUTPUT_COLUMN

CONFIG = {"answer": "Survival prediction", "labels": ["dead", "alive"]}


@pytest.fixture(scope="module")
def wrapper(basic_model: Path) -> MarvelModelWrapper:
    made = MarvelModelWrapper()
    made.load_context(PythonModelContext({ARTIFACT: str(basic_model)}, CONFIG))
    return made


@pytest.fixture(scope="module")
def served(basic_model: Path, tmp_path_factory: pytest.TempPathFactory) -> PyFuncModel:
    """The wrapper as MLflow serves it: loaded from its script, behind its signature."""
    folder = Path(tmp_path_factory.mktemp("served") / "model")
    mlflow.pyfunc.save_model(
        folder,
        python_model=str(Path(wrapper_module.__file__).with_name("serving_script.py")),
        artifacts={ARTIFACT: str(basic_model)},
        model_config=CONFIG,
        signature=custom_signature(FEATURE_NAMES, OUTPUT_COLUMN),
        input_example=example_frame(DATASET, FEATURE_NAMES),
        pip_requirements=[],
    )
    return mlflow.pyfunc.load_model(str(folder))


def test_it_says_in_words_what_the_basic_model_says_in_numbers(
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


@pytest.mark.parametrize("asked", [{}, {"probability": True}, {"probability": True, "explain": True}])
def test_no_rows_are_answered_with_no_rows_under_the_same_keys(
    wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame], asked: dict[str, bool]
):
    # given
    rows = sets["test"][FEATURE_NAMES]

    # when
    answer = wrapper.predict(None, rows.head(0), asked)

    # then
    assert answer == {key: [] for key in wrapper.predict(None, rows.head(1), asked)}


def test_asked_for_more_the_served_model_says_how_sure_it_is_and_why(
    served: PyFuncModel, fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # given: the target goes along as one column too many
    rows = sets["test"].head(300)

    # when
    answer = served.predict(rows, params={"probability": True, "explain": True})

    # then
    rows = rows[FEATURE_NAMES]
    assert answer["probability"] == fitted.predict_proba(rows)[:, 1].tolist()
    raw_scores = fitted.predict(rows, raw_score=True)
    sums = [base + sum(each.values()) for base, each in zip(answer["base_value"], answer["contributions"], strict=True)]
    assert sums == pytest.approx(raw_scores, abs=1e-9)
    assert {tuple(each) for each in answer["contributions"]} == {tuple(FEATURE_NAMES)}
    assert answer["Survival prediction"] == served.predict(rows)["Survival prediction"]


def test_the_three_strongest_features_are_named_with_what_they_speak_for(
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
