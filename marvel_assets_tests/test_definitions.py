"""The code location: quick to load, and whole."""

import dagster as dg
import pytest
import yaml

from marvel_assets.definitions import defs
from marvel_assets.defs.retraining_lock import POOL
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets_tests.commands import python, succeeded
from marvel_assets_tests.kaggle import CHARACTER_COLUMNS, PREDICTION_COLUMNS, REJECTED_COLUMNS

HEAVY = ("mlflow", "lightgbm", "pandas", "pyspark", "sklearn", "duckdb", "deltalake", "pyarrow")
EXTERNAL = {"characters_source": "ingestion", "mlflow_server": "registry"}
GROUPS = {
    "raw_characters": "ingestion",
    "train_set": "ingestion",
    "test_set": "ingestion",
    "rejected_characters": "ingestion",
    "fitted_pipeline": "training",
    "basic_model": "training",
    "basic_model_version": "registry",
    "inference_wheel": "registry",
    "custom_model_version": "registry",
    "survival_predictions": "serving",
    "drift_report": "monitoring",
}


@pytest.mark.integration
def test_loading_them_imports_nothing_heavy_and_warns_of_nothing():
    # when
    heavy = f"[module for module in {HEAVY!r} if module in sys.modules]"
    done = succeeded(python("-c", f"import sys, marvel_assets.definitions; print({heavy})"))

    # then
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}


def test_every_asset_has_group_owner_kind_and_description_and_those_that_code_makes_a_version(
    specs: dict[str, dg.AssetSpec],
):
    assert {name: spec.group_name for name, spec in specs.items()} == GROUPS | EXTERNAL
    assert all(spec.owners and spec.kinds and spec.description for spec in specs.values())
    versioned = {name for name, spec in specs.items() if spec.code_version and spec.freshness_policy}
    assert versioned == GROUPS.keys() - {"inference_wheel"}


def test_the_source_and_the_mlflow_server_are_shown_and_no_run_makes_them():
    # when
    graph = defs.resolve_asset_graph()

    # then
    assert {key.to_user_string() for key in graph.external_asset_keys} == EXTERNAL.keys()
    assert graph.get(dg.AssetKey("raw_characters")).parent_keys == {dg.AssetKey("characters_source")}
    made = defs.resolve_job_def("retrain").asset_layer.selected_asset_keys
    assert {key.to_user_string() for key in made} == GROUPS.keys()


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("train_set", CHARACTER_COLUMNS),
        ("rejected_characters", REJECTED_COLUMNS),
        ("survival_predictions", PREDICTION_COLUMNS),
    ],
)
def test_tables_have_all_columns_name_and_place_on_their_pages(
    specs: dict[str, dg.AssetSpec], table: str, columns: tuple[str, ...]
):
    metadata = specs[table].metadata
    assert tuple(column.name for column in metadata["dagster/column_schema"].columns) == columns
    assert metadata["dagster/table_name"] == f"marvel_dev.marvel_characters.{table}"
    assert metadata["dagster/uri"].endswith(f"marvel_dev/marvel_characters/{table}")


def test_a_column_has_those_of_the_source_that_it_comes_from(specs: dict[str, dg.AssetSpec]):
    [source] = specs["train_set"].metadata["dagster/column_lineage"].deps_by_column["Magic"]
    assert (source.asset_key.to_user_string(), source.column_name) == ("raw_characters", "Origin")


def test_checks_that_guard_what_is_downstream_are_blocking():
    # when
    graph = defs.resolve_asset_graph()

    # then
    blocking = {key for key in graph.asset_check_keys if graph.get(key).blocking}
    assert {(key.asset_key.to_user_string(), key.name) for key in blocking} == {
        ("train_set", "keeps_the_contract"),
        ("test_set", "keeps_the_contract"),
        ("basic_model", "loads_by_model_id_and_by_run"),
        ("basic_model", "training_rows_are_read_again"),
    }


def test_one_click_needs_no_configuration():
    dg.validate_run_config(defs.resolve_job_def("retrain"))


def test_sensors_and_schedules_ship_switched_off():
    repository = defs.get_repository_def()
    started = {starter.default_status for starter in (*repository.sensor_defs, *repository.schedule_defs)}
    assert started == {dg.DefaultSensorStatus.STOPPED, dg.DefaultScheduleStatus.STOPPED}


def test_what_retrains_shares_a_pool_that_one_run_holds():
    # given
    settings = yaml.safe_load((PROJECT_ROOT / "config" / "dagster.yaml").read_text())

    # then
    assert settings["concurrency"]["pools"] == {"granularity": "run", "default_limit": 1}
    pooled = {node.name for node in defs.resolve_job_def("retrain").all_node_defs if POOL in node.pools}
    tables = {"raw_characters", "characters"}
    assert pooled == tables | {"fitted_pipeline", "basic_model", "basic_model_version", "custom_model_version"}
