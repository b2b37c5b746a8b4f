"""What the environment makes of a profile's resources."""

from operator import attrgetter
from types import SimpleNamespace

import pytest

from marvel_assets.config import ConfigError
from marvel_assets.defs.resources import PROFILES, profile_resources
from marvel_assets.paths import ProjectPaths


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_the_same_resources(profile: str, home: ProjectPaths, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MARVEL_PROFILE", profile)

    # then
    assert profile_resources(home).keys() == PROFILES["embedded"](home).keys()


@pytest.mark.parametrize(("variable", "value"), [("MARVEL_ENV", "acc"), ("MARVEL_DATASET", "marvel_wikia_2014")])
def test_environments_and_data_sets_have_references_of_their_own(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
):
    # given
    before = profile_resources(home)
    monkeypatch.setenv(variable, value)

    # then
    after = profile_resources(home)
    assert after["references"].folder != before["references"].folder
    assert (after["sources"].last_read == before["sources"].last_read) == (variable == "MARVEL_ENV")


def test_settings_of_spark_are_taken_from_the_environment(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MARVEL_SPARK_SETTINGS", "spark.driver.memory=8g  spark.a=b=c")

    # then
    assert PROFILES["spark"](home)["spark"].settings == {"spark.driver.memory": "8g", "spark.a": "b=c"}


@pytest.mark.parametrize("given", ["driver.memory=8g", "spark.driver.memory", "spark.ui.enabled"])
def test_what_is_no_setting_is_named(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, given: str):
    # given
    monkeypatch.setenv("MARVEL_SPARK_SETTINGS", given)

    # then
    with pytest.raises(ConfigError, match=f"MARVEL_SPARK_SETTINGS: '{given.partition('=')[0]}' is not a setting"):
        PROFILES["spark"](home)


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("MARVEL_UC_URL", "http://unity:8080", "unity_catalog.backend", "oss"),
        ("MARVEL_UC_URL", "http://unity:8080", "tracking.registry_uri", "uc:http://unity:8080"),
        ("MARVEL_SPARK_URL", "sc://spark:15002", "spark.mode", "connect"),
        ("MLFLOW_TRACKING_URI", "http://mlflow:5000", "tracking.tracking_uri", "http://mlflow:5000"),
        (
            "MLFLOW_TRACKING_URI",
            "sqlite:////home/me@work/m.db",
            "tracking.tracking_uri",
            "sqlite:////home/me@work/m.db",
        ),
    ],
)
def test_an_address_moves_its_part_alone(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: str
):
    # given
    monkeypatch.setenv(variable, value)

    # then
    assert attrgetter(field)(SimpleNamespace(**PROFILES["spark"](home))) == expected
