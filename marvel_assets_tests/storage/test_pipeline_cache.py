"""Fitted pipelines: stored whole, found again, and loaded only as what they are."""

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.config import ProjectConfig
from marvel_assets.model.estimators import LightGBM
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache, PipelineIOManager
from marvel_assets.storage.references import TableVersion
from marvel_assets.training.fit import fit_from_config

ROWS = pd.DataFrame({"Height": np.linspace(1, 2, 40), "Gender": ["Male", "Female"] * 20, "Alive": [0] * 20 + [1] * 20})
FEATURES = ["Height", "Gender"]
FITTED = FittedPipeline("0123abcd", TableVersion("c.s.train_set", 4, 40, "abc"), "digest-of-rows", rows=3, sample=1.0)
ANYTHING = {"anything": "that skops stores"}


@pytest.fixture(scope="module")
def pipeline(way: ProjectConfig) -> Pipeline:
    model = LightGBM(learning_rate=0.1, n_estimators=3, max_depth=3, min_child_samples=1)
    config = way.model_copy(update={"num_features": ("Height",), "cat_features": ("Gender",), "model": model})
    return fit_from_config(config, ROWS, 1)


@pytest.fixture
def cache(tmp_path: Path) -> PipelineCache:
    return PipelineCache(folder=str(tmp_path / "pipelines"), locks=str(tmp_path / "locks"))


def test_a_stored_pipeline_is_found_by_its_cache_key_and_predicts_as_before(cache: PipelineCache, pipeline: Pipeline):
    # given
    stored = cache.store(pipeline, FITTED)

    # when
    found = cache.find("0123abcd")

    # then
    assert found == stored
    assert cache.find("other") is None
    expected = pipeline.predict_proba(ROWS[FEATURES])
    np.testing.assert_array_equal(found.pipeline.predict_proba(ROWS[FEATURES]), expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("suffix", [".json", ".skops"])
def test_a_pipeline_reaches_a_later_run_until_half_of_it_is_gone(cache: PipelineCache, tmp_path: Path, suffix: str):
    # given
    manager, key = PipelineIOManager(cache=cache, folder=str(tmp_path / "references")), dg.AssetKey("made")
    stored = cache.store(ANYTHING, FITTED)
    manager.handle_output(dg.build_output_context(asset_key=key), stored)
    assert manager.load_input(dg.build_input_context(asset_key=key)) == stored

    # when
    Path(stored.file).with_suffix(suffix).unlink()

    # then
    assert cache.find("0123abcd") is None
    with pytest.raises(dg.Failure, match="made has not been materialised in this home"):
        manager.load_input(dg.build_input_context(asset_key=key))
