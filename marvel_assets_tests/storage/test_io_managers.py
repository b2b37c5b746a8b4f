"""References between assets of real Dagster runs."""

from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.storage.references import TableVersion, from_json

TABLE = TableVersion("c.s.t", 3, 10, "abc")


@dg.asset(io_manager_key="references")
def upstream() -> TableVersion:
    return TABLE


@dg.asset
def downstream(context: dg.AssetExecutionContext, upstream: TableVersion) -> None:
    context.add_output_metadata({"received": repr(upstream)})


def materialize(folder: Path, *selection: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    resources = {"references": ReferenceIOManager(folder=str(folder))}
    return dg.materialize([upstream, downstream], selection=selection, resources=resources)


def test_a_reference_reaches_a_later_run_as_json_under_the_assets_name(tmp_path: Path):
    # given
    materialize(tmp_path, upstream)
    assert from_json((tmp_path / "upstream.json").read_text()) == TABLE
    assert [file.name for file in tmp_path.iterdir()] == ["upstream.json"]

    # when
    result = materialize(tmp_path, downstream)

    # then
    [materialization] = result.asset_materializations_for_node("downstream")
    assert materialization.metadata["received"].value == repr(TABLE)


def test_an_asset_that_was_never_materialised_is_named_with_the_command(tmp_path: Path):
    # then
    with pytest.raises(dg.Failure) as raised:
        materialize(tmp_path, downstream)
    assert "upstream has not been materialised in this home" in raised.value.description
    assert "dagster asset materialize -m marvel_assets.definitions --select '*upstream'" in raised.value.description
