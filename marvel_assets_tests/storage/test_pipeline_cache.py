"""Fitted pipelines: kept whole, found again, and loaded only as what they are."""

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from marvel_assets.model.estimators import LightGBM
from marvel_assets.model.pipeline import build_pipeline, fit_pipeline
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache, PipelineIOManager
from marvel_assets.storage.references import TableVersion

TRAINED_ON = TableVersion("c.s.train_set", 4, 40, "abc")
ROWS = pd.DataFrame({"Height": np.linspace(1, 2, 40), "Gender": ["Male", "Female"] * 20, "Alive": [0] * 20 + [1] * 20})
FEATURES = ["Height", "Gender"]
CACHE_KEY = "0123abcd"


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return fit_pipeline(
        build_pipeline(
            ["Gender"], LightGBM(learning_rate=0.1, n_estimators=3, max_depth=3, min_child_samples=1), threads=1
        ),
        ROWS,
        FEATURES,
        "Alive",
    )


@pytest.fixture
def store(tmp_path: Path) -> PipelineCache:
    return PipelineCache(folder=str(tmp_path / "pipelines"), locks=str(tmp_path / "locks"))


@pytest.fixture
def kept(store: PipelineCache, pipeline: Pipeline) -> FittedPipeline:
    return store.keep(pipeline, FittedPipeline(CACHE_KEY, TRAINED_ON, "digest-of-rows", rows=3, sample=1.0))


def run(store: PipelineCache, folder: Path, *selection: str, made: FittedPipeline | None = None):
    """Materialise one or both of two assets that hand the pipeline on."""

    @dg.asset(io_manager_key="pipelines")
    def fitted_pipeline() -> FittedPipeline:
        assert made is not None
        return made

    @dg.asset
    def reading(context: dg.AssetExecutionContext, fitted_pipeline: FittedPipeline) -> None:
        context.add_output_metadata({"received": repr(fitted_pipeline)})

    return dg.materialize(
        [fitted_pipeline, reading],
        selection=list(selection),
        resources={"pipelines": PipelineIOManager(cache=store, folder=str(folder))},
    )


def test_a_kept_pipeline_is_found_by_its_cache_key_and_predicts_as_before(
    store: PipelineCache, kept: FittedPipeline, pipeline: Pipeline
):
    # when
    found = store.find(CACHE_KEY)

    # then
    assert found == kept
    assert store.find("other") is None
    expected = pipeline.predict_proba(ROWS[FEATURES])
    np.testing.assert_array_equal(found.pipeline.predict_proba(ROWS[FEATURES]), expected)
    assert len(np.unique(expected)) > 1


@pytest.mark.parametrize("suffix", [".json", ".skops"])
def test_half_of_a_pipeline_is_none(store: PipelineCache, kept: FittedPipeline, suffix: str):
    # when
    Path(kept.file).with_suffix(suffix).unlink()

    # then
    assert store.find(CACHE_KEY) is None


def test_a_file_that_has_changed_is_refused(store: PipelineCache, kept: FittedPipeline):
    # given
    file = Path(kept.file)
    file.write_bytes(file.read_bytes()[:-1])

    # then
    with pytest.raises(dg.Failure, match="has changed since it was written"):
        store.find(CACHE_KEY).pipeline  # noqa: B018


def test_a_pipeline_reaches_a_later_run(store: PipelineCache, kept: FittedPipeline, tmp_path: Path):
    # given
    run(store, tmp_path / "references", "fitted_pipeline", made=kept)

    # when
    result = run(store, tmp_path / "references", "reading")

    # then
    [materialization] = result.asset_materializations_for_node("reading")
    assert materialization.metadata["received"].value == repr(kept)


@pytest.mark.parametrize("state", ["never materialised", "pipeline deleted"])
def test_a_pipeline_that_is_not_there_is_named_with_the_command(
    store: PipelineCache, kept: FittedPipeline, tmp_path: Path, state: str
):
    # given
    if state == "pipeline deleted":
        run(store, tmp_path / "references", "fitted_pipeline", made=kept)
        Path(kept.file).unlink()

    # then
    with pytest.raises(dg.Failure) as raised:
        run(store, tmp_path / "references", "reading")
    assert "fitted_pipeline has not been materialised in this home" in raised.value.description
    assert "--select '*fitted_pipeline'" in raised.value.description
