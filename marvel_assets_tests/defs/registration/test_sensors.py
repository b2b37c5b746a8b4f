"""The sensor of the aliases: it reconciles at once, and errors that stay fail its ticks."""

import shutil
from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.registration.sensors import alias_reconciliation_sensor
from marvel_assets.defs.resources import profile_resources
from marvel_assets.defs.sensor_cursor import SensorError
from marvel_assets.paths import ProjectPaths
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


def tick(home: ProjectPaths, cursor: str | None = None) -> dg.SensorResult:
    resources = {name: profile_resources(home)[name] for name in NEEDED}
    with dg.build_sensor_context(cursor=cursor, resources=resources) as context:
        return alias_reconciliation_sensor(context)


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


def test_three_errors_in_a_row_fail_the_tick_and_say_since_when(home: ProjectPaths, pairs: ModelPairs):
    # given: what is under the alias is not of this project
    pairs._registry.set_tags(pairs.custom_name, 2, {BASIC_MODEL_ID: "nothing"})
    cursor = None
    for _ in range(2):
        result = tick(home, cursor)
        assert "The aliases can't be looked at: " in result.skip_reason.skip_message
        cursor = result.cursor

    # then
    with pytest.raises(SensorError, match=r"looked at, since \d{4}-\d\d-\d\d \d\d:\d\d UTC: .* with the job approve"):
        tick(home, cursor)
