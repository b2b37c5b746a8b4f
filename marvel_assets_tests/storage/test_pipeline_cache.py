"""Fitted pipelines: kept whole, found again, and loaded only as what they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.model.estimators import LightGBM
from marvel_assets.model.pipeline import build_pipeline, fit_pipeline
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache
from marvel_assets.storage.references import TableVersion

ROWS = pd.DataFrame({"Height": np.linspace(1, 2, 40), "Gender": ["Male", "Female"] * 20, "Alive": [0] * 20 + [1] * 20})
FEATURES = ["Height", "Gender"]
FITTED = FittedPipeline("0123abcd", TableVersion("c.s.train_set", 4, 40, "abc"), "digest-of-rows", rows=3, sample=1.0)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    estimator = LightGBM(learning_rate=0.1, n_estimators=3, max_depth=3, min_child_samples=1)
    return fit_pipeline(build_pipeline(["Gender"], estimator, threads=1), ROWS, FEATURES, "Alive")


@pytest.fixture
def store(tmp_path: Path) -> PipelineCache:
    return PipelineCache(folder=str(tmp_path / "pipelines"), locks=str(tmp_path / "locks"))


def test_a_kept_pipeline_is_found_by_its_cache_key_and_predicts_as_before(store: PipelineCache, pipeline: Pipeline):
    # given
    kept = store.keep(pipeline, FITTED)

    # when
    found = store.find("0123abcd")

    # then
    assert found == kept
    assert store.find("other") is None
    expected = pipeline.predict_proba(ROWS[FEATURES])
    np.testing.assert_array_equal(found.pipeline.predict_proba(ROWS[FEATURES]), expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("suffix", [".json", ".skops"])
def test_half_of_a_pipeline_is_none(store: PipelineCache, pipeline: Pipeline, suffix: str):
    # when
    Path(store.keep(pipeline, FITTED).file).with_suffix(suffix).unlink()

    # then
    assert store.find("0123abcd") is None
