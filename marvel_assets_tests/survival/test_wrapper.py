"""The custom model: words, whatever else is sent along."""

from pathlib import Path
from types import SimpleNamespace

import mlflow
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.survival.pipeline import TRUSTED_TYPES
from marvel_assets.survival.wrapper import ARTIFACT, MarvelModelWrapper
from marvel_assets_tests.survival.conftest import FEATURE_NAMES


@pytest.fixture(scope="module")
def wrapper(fitted: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> MarvelModelWrapper:
    folder = Path(tmp_path_factory.mktemp("wrapper") / "model")
    mlflow.sklearn.save_model(
        fitted, folder, serialization_format="skops", skops_trusted_types=list(TRUSTED_TYPES), pip_requirements=[]
    )
    made = MarvelModelWrapper()
    made.load_context(SimpleNamespace(artifacts={ARTIFACT: str(folder)}))
    return made


def test_it_says_in_words_what_the_basic_model_says_in_numbers(
    wrapper: MarvelModelWrapper, fitted: Pipeline, sets: dict[str, pd.DataFrame]
):
    # given
    rows = sets["test"][FEATURE_NAMES]

    # when
    answer = wrapper.predict(None, rows)

    # then
    assert answer == {"Survival prediction": ["alive" if label else "dead" for label in fitted.predict(rows)]}
    assert set(answer["Survival prediction"]) == {"alive", "dead"}


def test_other_columns_and_another_order_change_nothing(wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame]):
    # given
    rows = sets["test"]

    # then
    assert wrapper.predict(None, rows[rows.columns[::-1]]) == wrapper.predict(None, rows[FEATURE_NAMES])


def test_absent_measures_are_missing_measures(wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame]):
    # given
    rows = sets["test"][FEATURE_NAMES]
    without = rows.drop(columns=["Height", "Weight"])

    # then
    assert wrapper.predict(None, without) == wrapper.predict(
        None, rows.assign(Height=float("nan"), Weight=float("nan"))
    )


def test_another_absent_feature_is_named(wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame]):
    with pytest.raises(ValueError, match="column Gender, Origin is missing; expected Height, "):
        wrapper.predict(None, sets["test"][FEATURE_NAMES].drop(columns=["Gender", "Origin"]))


def test_nobody_asked_about_is_nobody_answered_for(wrapper: MarvelModelWrapper, sets: dict[str, pd.DataFrame]):
    assert wrapper.predict(None, sets["test"][FEATURE_NAMES].head(0)) == {"Survival prediction": []}
