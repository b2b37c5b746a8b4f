"""References: the same again after JSON, and in a later run; what was never made is named."""

from pathlib import Path
from typing import get_args

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from marvel_assets.storage.references import Reference, ReferenceIOManager, TableVersion, from_json, to_json

TABLE = TableVersion("c.s.t", 3, 10, "abc")
KEY = dg.AssetKey("made")


@given(st.one_of([st.builds(kind) for kind in get_args(Reference)]))
def test_a_reference_comes_back_from_json_as_it_was(reference: Reference):
    # when
    back = from_json(to_json(reference))

    # then
    assert back == reference
    assert type(back) is type(reference)


@pytest.mark.parametrize(("text", "named"), [("", "Invalid JSON"), ('{"cache": "0"}', "FittedPipelineRef.cache_key")])
def test_what_is_not_a_reference_is_refused_by_name(text: str, named: str):
    # then
    with pytest.raises(ValidationError, match=named):
        from_json(text)


def test_a_reference_reaches_a_later_run_as_json_under_the_assets_name(tmp_path: Path):
    # given
    manager = ReferenceIOManager(folder=str(tmp_path))

    # when
    manager.handle_output(dg.build_output_context(asset_key=KEY), TABLE)

    # then
    assert manager.load_input(dg.build_input_context(asset_key=KEY)) == TABLE
    assert [from_json(file.read_text()) for file in tmp_path.glob("made.json")] == [TABLE]


def test_an_asset_that_was_never_materialised_is_named_with_the_command(tmp_path: Path):
    # then
    with pytest.raises(dg.Failure) as raised:
        ReferenceIOManager(folder=str(tmp_path)).load_input(dg.build_input_context(asset_key=KEY))
    assert "made has not been materialised in this home" in raised.value.description
    assert "dagster asset materialize -m marvel_assets.definitions --select '*made'" in raised.value.description
