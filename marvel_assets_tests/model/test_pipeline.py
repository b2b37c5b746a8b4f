"""The pipeline: the same rows and parameters give the same model, and each distinct row is predicted once."""

from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from lightgbm import LGBMClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from marvel_assets.config import ProjectConfig
from marvel_assets.model.encoder import CatToIntTransformer
from marvel_assets.model.pipeline import DEDUPLICATE_FROM, predict_unique_rows
from marvel_assets.training.fit import fit_from_config
from marvel_assets_tests.conftest import FEW_TREES
from marvel_assets_tests.fitted_rows import CATEGORICAL, FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET

COLUMNS = ["Height", "Universe", "Teams"]
KINDS = (
    (1.8, "Earth-616", 1),
    (np.nan, "Earth-616", 1),
    (np.nan, None, 0),
    (1.8, "Earth-1", 0),
    (-0.5, "Earth-616", 1),
)


@pytest.mark.parametrize("alive", [0, 1])
def test_one_class_only_is_refused_by_name(way: ProjectConfig, sets: dict[str, pd.DataFrame], alive: int):
    rows = sets["train"].query(f"{TARGET} == {alive}")
    with pytest.raises(ValueError, match=rf"column Alive: .* both classes .*{len(rows):,} rows with \[{alive}\]"):
        fit_from_config(way, rows, 1)


def test_with_nothing_set_the_fit_is_lightgbms_own_bit_for_bit(sets: dict[str, pd.DataFrame], way: ProjectConfig):
    # given: the reference, written out
    encoder = CatToIntTransformer(columns=CATEGORICAL, min_frequency=way.min_frequency)
    encoded = encoder.fit_transform(sets["train"][FEATURE_NAMES])
    plain = LGBMClassifier(**FEW_TREES, n_jobs=1, deterministic=True, force_row_wise=True, verbosity=-1)
    plain.fit(encoded, sets["train"][TARGET])

    # when
    fitted = fit_from_config(way, sets["train"], 1)

    # then
    expected = plain.predict_proba(encoder.transform(sets["test"][FEATURE_NAMES]))[:, 1]
    actual = fitted.predict_proba(sets["test"][list(way.features)])[:, 1]
    assert way.features == tuple(FEATURE_NAMES)
    assert actual.tobytes() == expected.tobytes()


def test_native_categories_alone_split_categories_whose_order_means_nothing(way: ProjectConfig):
    # given: sixty universes of which every other one, in the order of their names, ends badly; and one split
    rows = pd.DataFrame({"Universe": [f"Earth-{number % 60:02}" for number in range(6000)]})
    rows[TARGET] = [number % 60 % 2 for number in range(6000)]
    stump = way.model.model_copy(update={"max_depth": 1, "n_estimators": 1, "learning_rate": 0.5})
    alike = {"num_features": (), "cat_features": ("Universe",), "model": stump}

    # when
    by_number, by_name = (
        fit_from_config(way.model_copy(update={**alike, "native_categories": native}), rows, 1)
        for native in (False, True)
    )

    # then
    assert roc_auc_score(rows[TARGET], by_number.predict_proba(rows[["Universe"]])[:, 1]) < 0.6
    assert roc_auc_score(rows[TARGET], by_name.predict_proba(rows[["Universe"]])[:, 1]) > 0.9


def test_native_categories_take_the_unknown_for_missing(sets: dict[str, pd.DataFrame], way: ProjectConfig):
    # given: codes as LightGBM gets them, some of them -1
    fitted = fit_from_config(way.model_copy(update={"native_categories": True}), sets["train"], 1)
    codes = fitted[:-1].transform(sets["test"][FEATURE_NAMES])
    codes.loc[codes.index[::2], CATEGORICAL] = -1

    # when
    without = codes.astype(float).mask(codes == -1)

    # then
    np.testing.assert_array_equal(fitted[-1].predict_proba(codes), fitted[-1].predict_proba(without))


def many(*kinds: tuple[object, ...], rows: int = 4 * DEDUPLICATE_FROM) -> pd.DataFrame:
    """Rows of these kinds, in random order."""
    drawn = np.random.default_rng(7).integers(0, len(kinds), rows)
    return pd.DataFrame([kinds[kind] for kind in drawn], columns=COLUMNS)


@pytest.fixture(scope="module")
def pipeline(way: ProjectConfig) -> Pipeline:
    """Knows the universes of KINDS, and calls all others rare."""
    rare = [(1.8, f"Earth-{number}", 0) for number in range(100, 120)]
    rows = pd.concat([many(*KINDS), many(*rare, rows=20)], ignore_index=True)
    features = {"num_features": ("Height", "Teams"), "cat_features": ("Universe",), "min_frequency": 20}
    config = way.model_copy(update=features)
    return fit_from_config(config, rows.assign(Alive=np.arange(len(rows)) % 2), 1)


EVERY_CORE = {"num_threads": joblib.cpu_count()}


@pytest.mark.parametrize(
    ("rows", "distinct", "arguments"),
    [
        (many(*KINDS), len(KINDS), EVERY_CORE),
        (many(*((1.8, f"Earth-{number}", 0) for number in range(1000, 1500))), 1, EVERY_CORE),
        *((many(*KINDS).head(few), few, {}) for few in (1, DEDUPLICATE_FROM - 1)),
    ],
    ids=["missing cells", "rare values share a code", "one row", "few rows"],
)
def test_every_row_gets_its_own_prediction_and_equal_rows_are_predicted_once_on_every_core(
    pipeline: Pipeline, rows: pd.DataFrame, distinct: int, arguments: dict[str, Any]
):
    # given: a prediction for each row that is the row itself
    calls = []

    def predict(encoded: pd.DataFrame, **given: Any) -> npt.NDArray[np.float64]:
        calls.append((len(encoded), given))
        return encoded.to_numpy(np.float64)

    # when
    predictions = predict_unique_rows(pipeline, rows, predict)

    # then
    np.testing.assert_array_equal(predictions, pipeline[:-1].transform(rows).to_numpy(np.float64))
    assert calls == [(distinct, arguments)]


def test_a_fitted_pipelines_probabilities_are_the_same_to_the_last_bit(fitted: Pipeline, sets: dict[str, pd.DataFrame]):
    # given: an index with the name of a column
    rows = pd.concat([sets["train"], sets["test"]])[FEATURE_NAMES].set_index("Universe", drop=False)
    assert len(rows) > DEDUPLICATE_FROM

    # then
    assert (predict_unique_rows(fitted, rows) == fitted.predict_proba(rows)).all()
