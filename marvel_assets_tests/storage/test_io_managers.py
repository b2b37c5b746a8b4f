"""What one run returned reaches the next, and what was never made is named."""

from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.storage.pipeline_cache import FittedPipeline, PipelineCache, PipelineIOManager
from marvel_assets.storage.references import TableVersion, from_json

TABLE = TableVersion("c.s.t", 3, 10, "abc")
KEY = dg.AssetKey("made")


@pytest.fixture
def cache(tmp_path: Path) -> PipelineCache:
    return PipelineCache(folder=str(tmp_path / "pipelines"), locks=str(tmp_path / "locks"))


@pytest.fixture
def kept(cache: PipelineCache) -> FittedPipeline:
    return cache.keep(
        {"anything": "that skops stores"}, FittedPipeline("0123abcd", TABLE, "digest", rows=3, sample=1.0)
    )


def test_a_reference_reaches_a_later_run_as_json_under_the_assets_name(tmp_path: Path):
    # given
    manager = ReferenceIOManager(folder=str(tmp_path))

    # when
    manager.handle_output(dg.build_output_context(asset_key=KEY), TABLE)

    # then
    assert manager.load_input(dg.build_input_context(asset_key=KEY)) == TABLE
    assert [from_json(file.read_text()) for file in tmp_path.glob("made.json")] == [TABLE]


def test_a_pipeline_reaches_a_later_run_until_it_is_deleted(cache: PipelineCache, kept: FittedPipeline, tmp_path: Path):
    # given
    manager = PipelineIOManager(cache=cache, folder=str(tmp_path / "references"))
    manager.handle_output(dg.build_output_context(asset_key=KEY), kept)
    assert manager.load_input(dg.build_input_context(asset_key=KEY)) == kept

    # when
    Path(kept.file).unlink()

    # then
    with pytest.raises(dg.Failure, match="made has not been materialised in this home"):
        manager.load_input(dg.build_input_context(asset_key=KEY))


def test_an_asset_that_was_never_materialised_is_named_with_the_command(tmp_path: Path):
    # then
    with pytest.raises(dg.Failure) as raised:
        ReferenceIOManager(folder=str(tmp_path)).load_input(dg.build_input_context(asset_key=KEY))
    assert "made has not been materialised in this home" in raised.value.description
    assert "dagster asset materialize -m marvel_assets.definitions --select '*made'" in raised.value.description
