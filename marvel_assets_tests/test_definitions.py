"""The code location: quick to load, and whole."""

import dagster as dg
import pytest
from dagster._core.execution.build_resources import wrap_resource_for_execution

from marvel_assets.datasets import descriptions
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.definitions import defs
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
    done = succeeded(
        python("-c", f"import sys, marvel_assets.definitions; print([m for m in {HEAVY!r} if m in sys.modules])")
    )

    # then
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_asset_has_group_owner_kind_description_and_code_version():
    # when
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}

    # then
    assert {name: spec.group_name for name, spec in specs.items()} == GROUPS | EXTERNAL
    for spec in specs.values():
        assert spec.owners
        assert spec.kinds
        assert spec.description
    versioned = [name for name, spec in specs.items() if spec.code_version]
    assert set(versioned) == GROUPS.keys() - {"inference_wheel"}


def test_the_source_and_the_mlflow_server_are_shown_and_no_run_makes_them():
    # when
    graph = defs.resolve_asset_graph()

    # then
    assert {key.to_user_string() for key in graph.external_asset_keys} == EXTERNAL.keys()
    assert graph.get(dg.AssetKey("raw_characters")).parent_keys == {dg.AssetKey("characters_source")}
    made = defs.resolve_job_def("retrain").asset_layer.selected_asset_keys
    assert {key.to_user_string() for key in made} == GROUPS.keys()


def test_the_page_of_resources_has_a_sentence_for_each():
    # when
    resources = {name: wrap_resource_for_execution(resource) for name, resource in defs.resources.items()}

    # then: an indented second paragraph would be shown as code
    sentences = {name: str(resource.description) for name, resource in resources.items()}
    assert [text for text in sentences.values() if not text.endswith(".") or "\n" in text] == []


def test_tables_have_columns_lineage_and_place_on_their_pages():
    # when
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}

    # then
    for name in ("raw_characters", "train_set", "test_set", "rejected_characters"):
        assert isinstance(specs[name].metadata["dagster/column_schema"], dg.TableSchema)
    lineage = specs["train_set"].metadata["dagster/column_lineage"].deps_by_column
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage["Magic"]] == [
        ("raw_characters", "Origin")
    ]

    # and
    metadata = specs["train_set"].metadata
    assert metadata["dagster/table_name"] == "marvel_dev.marvel_characters.train_set"
    assert metadata["dagster/uri"].endswith("marvel_dev/marvel_characters/train_set")


def test_every_column_is_described():
    assert tuple(descriptions.table_columns(DATASET, "train_set")) == CHARACTER_COLUMNS
    assert tuple(descriptions.table_columns(DATASET, "rejected_characters")) == REJECTED_COLUMNS
    assert tuple(descriptions.table_columns(DATASET, "survival_predictions")) == PREDICTION_COLUMNS


def test_checks_that_guard_what_is_downstream_are_blocking():
    # when
    checks = {
        (key.asset_key.to_user_string(), key.name): defs.resolve_asset_graph().get(key).blocking
        for key in defs.resolve_asset_graph().asset_check_keys
    }

    # then
    blocking = {key for key, is_blocking in checks.items() if is_blocking}
    assert blocking == {
        ("train_set", "keeps_the_contract"),
        ("test_set", "keeps_the_contract"),
        ("rejected_characters", "accepted_and_rejected_add_up"),
        ("basic_model", "loads_by_model_id_and_by_run"),
        ("basic_model", "training_rows_are_read_again"),
    }


def test_one_click_needs_no_configuration():
    # when
    job = defs.resolve_job_def("retrain")

    # then
    dg.validate_run_config(job)
