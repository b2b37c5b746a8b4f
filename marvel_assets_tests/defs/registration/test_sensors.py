"""The sensor of the aliases: it reconciles at once, and what it can't reconcile fails its tick."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.registration.assets import report_served
from marvel_assets.defs.registration.sensors import alias_reconciliation_sensor
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import RegistryError
from marvel_assets.registry.model_pairs import ALIAS, BASIC_MODEL_ID, ModelPair, ModelPairs
from marvel_assets_tests.commands import reference
from marvel_assets_tests.registry.backends import Backend

NEEDED = ("project", "unity_catalog", "tracking", "references")


@pytest.fixture
def pairs(embedded_registry: Backend, home: ProjectPaths, small_project: Path) -> ModelPairs:
    """Two pairs, of which the second is served."""
    shutil.copyfile(embedded_registry.settings["tracking_uri"].removeprefix("sqlite:///"), home.mlflow_database)
    pairs = profile_resources(home)["unity_catalog"].pairs(ProjectConfig.from_yaml(small_project))
    first, second, third = (model.model_id for model in embedded_registry.models)
    expected = ""
    for basic, custom in ((first, second), (second, third)):
        pair = ModelPair(
            pairs._registry.register(pairs.basic_name, basic, {}, "basic"),
            pairs._registry.register(pairs.custom_name, custom, {BASIC_MODEL_ID: basic}, "custom"),
        )
        pairs.set_aliases(pair, expected)
        expected = basic
    return pairs


def tick(home: ProjectPaths, instance: dg.DagsterInstance | None = None) -> dg.SensorResult:
    resources = {name: profile_resources(home)[name] for name in NEEDED}
    instance = instance or dg.DagsterInstance.ephemeral()
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        result = alias_reconciliation_sensor(context)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return result


def test_an_alias_that_a_person_moved_is_followed_and_reported(home: ProjectPaths, pairs: ModelPairs):
    # given
    pairs._registry.set_alias(pairs.custom_name, ALIAS, 1)

    # when
    result = tick(home)

    # then
    assert result.skip_reason.skip_message.startswith(
        "latest-model is at basic version 1 and custom version 1 now: somebody moved"
    )
    assert [event.asset_key.path[-1] for event in result.asset_events] == [
        "basic_model_version",
        "custom_model_version",
    ]
    assert reference(home, "custom_model_version").version == 1
    assert tick(home).skip_reason.skip_message == "Both aliases are at basic version 1 and custom version 1."


def test_a_move_that_another_home_made_is_reported_once(home: ProjectPaths, pairs: ModelPairs):
    # given: this home shows version 2
    instance, resources = dg.DagsterInstance.ephemeral(), profile_resources(home)
    left = pairs.current()
    for event in report_served(left, "served", resources["tracking"], resources["references"]):
        instance.report_runless_asset_event(event)
    pairs.set_aliases(pairs.previous(left), left.basic.model_id, {}, "it calls Uatu dead")

    # when
    result = tick(home, instance)

    # then
    assert result.skip_reason.skip_message.startswith("latest-model is at basic version 1 and custom version 1 now: an")
    assert [event.metadata["version"].value for event in result.asset_events] == [1, 1]
    assert reference(home, "custom_model_version").version == 1
    assert tick(home, instance).asset_events == []


def test_a_pair_that_waits_for_approval_stays_on_the_page(home: ProjectPaths, pairs: ModelPairs):
    # given
    instance, metadata = dg.DagsterInstance.ephemeral(), {"model": pairs.custom_name, "version": 1, "alias": "waits"}
    instance.report_runless_asset_event(dg.AssetMaterialization("custom_model_version", metadata=metadata))

    # then
    assert tick(home, instance).asset_events == []


def test_what_is_no_whole_pair_fails_the_tick_with_a_way_out(home: ProjectPaths, pairs: ModelPairs):
    # given: what is under the alias is not of this project
    pairs._registry.set_tags(pairs.custom_name, 2, {BASIC_MODEL_ID: "nothing"})

    # then
    with pytest.raises(RegistryError, match="the jobs approve and rollback take a basic_version"):
        tick(home)
