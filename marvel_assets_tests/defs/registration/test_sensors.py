"""The sensor of the aliases: it reconciles at once, and what it can't reconcile fails its tick."""

from collections.abc import Callable

import dagster as dg
import pytest

from marvel_assets.defs.registration.aliases import alias_reconciliation_sensor
from marvel_assets.defs.registration.assets import report_served
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import RegistryError
from marvel_assets.registry.model_pairs import ALIAS, BASIC_MODEL_ID, ModelPairs
from marvel_assets_tests.commands import reference

pytestmark = pytest.mark.integration


@pytest.fixture
def pairs(given_runs: Callable[..., ProjectPaths]) -> ModelPairs:
    """Two pairs, of which the second is served."""
    resources = profile_resources(given_runs(0.1, 0.0))
    return resources["unity_catalog"].pairs(resources["project"].config)


def tick(home: ProjectPaths, instance: dg.DagsterInstance) -> tuple[str, list[dg.AssetMaterialization]]:
    """Why the tick requested no run, and what it reported."""
    resources = profile_resources(home)
    needed = {name: resources[name] for name in ("project", "unity_catalog", "tracking", "references")}
    with dg.build_sensor_context(instance=instance, resources=needed) as context:
        result = alias_reconciliation_sensor(context)
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return result.skip_reason.skip_message, result.asset_events


def test_an_alias_that_a_person_moved_is_followed_and_reported(home: ProjectPaths, pairs: ModelPairs):
    # given
    instance = dg.DagsterInstance.ephemeral()
    pairs._registry.set_alias(pairs.custom_name, ALIAS, 1)

    # when
    message, events = tick(home, instance)

    # then
    assert message.startswith("latest-model is at basic version 1 and custom version 1 now: somebody moved")
    assert [event.asset_key.path[-1] for event in events] == ["basic_model_version", "custom_model_version"]
    assert reference(home, "custom_model_version").version == 1
    assert tick(home, instance)[0] == "Both aliases are at basic version 1 and custom version 1."


def test_a_move_that_another_home_made_is_reported_once(home: ProjectPaths, pairs: ModelPairs):
    # given: this home shows version 2
    instance, resources = dg.DagsterInstance.ephemeral(), profile_resources(home)
    left = pairs.current()
    for event in report_served(left, "served", resources["tracking"], resources["references"]):
        instance.report_runless_asset_event(event)
    pairs.set_aliases(pairs.previous(left), left.basic.model_id, {}, "it calls Uatu dead")

    # when
    message, events = tick(home, instance)

    # then
    assert message.startswith("latest-model is at basic version 1 and custom version 1 now: another home")
    assert [event.metadata["version"].value for event in events] == [1, 1]
    assert reference(home, "custom_model_version").version == 1
    assert tick(home, instance)[1] == []


def test_a_pair_that_waits_for_approval_stays_on_the_page(home: ProjectPaths, pairs: ModelPairs):
    # given
    instance, metadata = dg.DagsterInstance.ephemeral(), {"model": pairs.custom_name, "version": 1, "alias": "waits"}
    instance.report_runless_asset_event(dg.AssetMaterialization("custom_model_version", metadata=metadata))

    # then
    assert tick(home, instance)[1] == []


def test_what_is_no_whole_pair_fails_the_tick_with_a_way_out(home: ProjectPaths, pairs: ModelPairs):
    # given: what is under the alias is not of this project
    pairs._registry.set_tags(pairs.custom_name, 2, {BASIC_MODEL_ID: "nothing"})

    # then
    with pytest.raises(RegistryError, match="the job approve takes a basic_version"):
        tick(home, dg.DagsterInstance.ephemeral())
