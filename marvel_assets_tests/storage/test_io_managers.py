"""References between assets of real Dagster runs."""

from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.storage.io_managers import ReferenceIOManager
from marvel_assets.storage.references import LoggedModelRef, TableVersion, from_json

TABLE = TableVersion("c.s.t", 3, 10, "abc")


@dg.asset(io_manager_key="references")
def upstream() -> TableVersion:
    return TABLE


@dg.asset(key_prefix=["some", "folder"], io_manager_key="references")
def nested() -> LoggedModelRef:
    return LoggedModelRef("model", "m-1", "run", "/e")


@dg.asset
def downstream(context: dg.AssetExecutionContext, upstream: TableVersion) -> None:
    context.add_output_metadata({"received": repr(upstream)})


@dg.asset(ins={"nested": dg.AssetIn(key=["some", "folder", "nested"])})
def below_nested(context: dg.AssetExecutionContext, nested: LoggedModelRef) -> None:
    context.add_output_metadata({"received": repr(nested)})


GRAPH = [upstream, nested, downstream, below_nested]


def materialize(folder: Path, *selection: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    resources = {"references": ReferenceIOManager(folder=str(folder))}
    return dg.materialize(GRAPH, selection=selection, resources=resources)


def received(result: dg.ExecuteInProcessResult, asset: str) -> str:
    return str(result.asset_materializations_for_node(asset)[0].metadata["received"].value)


def test_a_reference_reaches_the_next_asset_in_the_same_run(tmp_path: Path):
    # when
    result = materialize(tmp_path, upstream, downstream)

    # then
    assert received(result, "downstream") == repr(TABLE)


def test_a_reference_reaches_a_later_run(tmp_path: Path):
    # given
    materialize(tmp_path, upstream)

    # when
    result = materialize(tmp_path, downstream)

    # then
    assert received(result, "downstream") == repr(TABLE)


def test_it_is_stored_as_json_under_the_assets_name(tmp_path: Path):
    # when
    materialize(tmp_path, upstream)

    # then
    assert from_json((tmp_path / "upstream.json").read_text()) == TABLE
    assert [file.name for file in tmp_path.iterdir()] == ["upstream.json"]


def test_the_prefix_of_an_assets_key_is_a_folder(tmp_path: Path):
    # given
    materialize(tmp_path, nested)

    # when
    result = materialize(tmp_path, below_nested)

    # then
    assert (tmp_path / "some" / "folder" / "nested.json").is_file()
    assert "m-1" in received(result, "below_nested")


@pytest.mark.parametrize(("asset", "name"), [(downstream, "upstream"), (below_nested, "some/folder/nested")])
def test_an_asset_that_was_never_materialised_is_named_with_the_command(
    tmp_path: Path, asset: dg.AssetsDefinition, name: str
):
    # then
    with pytest.raises(dg.Failure) as raised:
        materialize(tmp_path, asset)
    assert f"{name} has not been materialised in this home" in raised.value.description
    assert f"dagster asset materialize -m marvel_assets.definitions --select '*{name}'" in raised.value.description


def test_a_file_that_holds_no_reference_is_refused(tmp_path: Path):
    # given
    (tmp_path / "upstream.json").write_text('{"kind": "Path", "path": "/etc/passwd"}')

    # then
    with pytest.raises(Exception, match="TableVersion"):
        materialize(tmp_path, downstream)
