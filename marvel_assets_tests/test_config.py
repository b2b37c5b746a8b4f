"""The configuration: loaded whole, or refused with the file and the key."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from marvel_assets.config import ConfigError, ProjectConfig
from marvel_assets.paths import PROJECT_ROOT

PROJECT_YAML = PROJECT_ROOT / "config" / "project.yml"
COURSE_YAML = """
prd: {catalog_name: mlops_prd, schema_name: marvel_characters}
acc: {catalog_name: mlops_acc, schema_name: marvel_characters}
dev: {catalog_name: mlops_dev, schema_name: marvel_characters}

num_features: [Height, Weight]
cat_features: [Universe, Identity, Gender, Marital_Status, Teams, Origin, Magic, Mutant]

target: Alive

parameters:
  learning_rate: 0.01
  n_estimators: 1000
  max_depth: 6

experiment_name_basic: /Shared/marvel-characters-basic
experiment_name_custom: /Shared/marvel-characters-custom
"""


def write(folder: Path, content: Any) -> Path:
    path = folder / "settings.yml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def content() -> dict[str, Any]:
    """The project's own settings, to be spoilt."""
    loaded: dict[str, Any] = yaml.safe_load(PROJECT_YAML.read_text())
    return loaded | {"num_features": ["Height", "Weight"], "cat_features": ["Universe", "Identity", "Gender", "Origin"]}


def refusal(folder: Path, content: Any) -> str:
    """What is said of unusable settings."""
    path = write(folder, content)
    with pytest.raises(ConfigError) as raised:
        ProjectConfig.from_yaml(path)
    assert str(path) in str(raised.value)
    return str(raised.value)


def test_the_projects_own_file_holds_the_contracts_features_and_parameters_and_nothing_that_changes_the_reference():
    # when
    config = ProjectConfig.from_yaml(PROJECT_YAML)

    # then
    assert config.num_features == ("Height", "Weight")
    assert config.features[2:] == config.cat_features
    assert len(config.features) == 10
    reference = {"learning_rate": 0.01, "n_estimators": 1000, "max_depth": 6}
    assert config.fit_settings == {"model": "lightgbm", **reference, "min_frequency": 50}


def test_what_is_asked_for_is_among_what_decides_a_fit(tmp_path: Path, content: dict[str, Any]):
    # given
    model = {"kind": "hist_gradient_boosting", "max_iter": 30}
    content |= {"model": model, "native_categories": True, "early_stopping": {"rounds": 30}}

    # when
    config = ProjectConfig.from_yaml(write(tmp_path, content))

    # then
    assert config.fit_settings == {
        "model": "hist_gradient_boosting", "max_iter": 30, "random_state": 0, "min_frequency": 50,
        "native_categories": True, "early_stopping_rounds": 30, "early_stopping_share": 0.1,
    }  # fmt: skip


@pytest.mark.parametrize("env", ["dev", "acc", "prd"])
def test_the_courses_flat_file_loads_unchanged(tmp_path: Path, env: str):
    # when
    config = ProjectConfig.from_yaml(write(tmp_path, COURSE_YAML), env)

    # then
    assert (config.environment, config.qualified("t")) == (env, f"mlops_{env}.marvel_characters.t")
    assert config.model.n_estimators == 1000
    assert (config.target, config.experiment_name_custom) == ("Alive", "/Shared/marvel-characters-custom")


def test_one_environment_and_some_of_the_features_are_enough(tmp_path: Path, content: dict[str, Any]):
    # given
    del content["acc"], content["prd"]
    content |= {"num_features": [], "cat_features": ["Gender"]}

    # then
    assert ProjectConfig.from_yaml(write(tmp_path, content)).features == ("Gender",)


MISSING = object()
REFUSED: list[tuple[str, Any, str]] = [
    ("dev", MISSING, "dev: expected a catalog_name, and at most a schema_name beside it; found None. Choose "),
    ("dev.catalog_name", MISSING, "catalog_name: missing key"),
    ("dev.learning_rat", "anything", "at most a schema_name beside it; found {'catalog_name': "),
    *((place, MISSING, f"{place}: missing key") for place in ("model", "model.max_depth")),
    *(
        (place, "anything", f"{place}: unknown key")
        for place in ("num_feature", "uat", "model.learning_rat", "gate.thresholdz")
    ),
    ("model.learning_rate", "0.1", ""),
    ("model.learning_rate", float("nan"), ""),
    ("model.n_estimators", 10.5, ""),
    ("early_stopping.share", 0.6, ""),
    ("gate.thresholds", {"roc_auc": "high"}, "gate.thresholds.roc_auc: "),
    ("dev.catalog_name", "no name", "catalog_name: "),
    ("dev.schema_name", "../etc", "schema_name: "),
    ("num_features", "Height", ""),
    ("model", None, ""),
    ("experiment_name_basic", "no-slash", ""),
    ("dev", "marvel_dev", ""),
    ("cat_features", ["Gender", 1], "cat_features.1: "),
    ("cat_features", ["Gender", "Powers"], "name Powers; the data set marvel_kaggle has Height, Weight, Universe"),
    ("cat_features", ["Gender", "Height"], "name Height; "),
    ("num_features", ["Height", "Teams"], "name Teams; "),
    ("model.kind", "perceptron", "model: Input tag 'perceptron' found using 'kind' does not match any of the expected"),
    ("model.max_iter", 100, "model.max_iter: unknown key"),
    ("dataset", "dc_comics", "dataset: there is no data set 'dc_comics' (MARVEL_DATASET); choose one of marvel_"),
    ("target", "Teams", "target is 'Teams'; the data set marvel_kaggle has 'Alive'"),
]
"""Where a setting is spoilt, by what, and the message: its place at least."""


@pytest.mark.parametrize(("place", "value", "message"), REFUSED)
def test_what_can_not_be_used_is_named_with_its_place(
    tmp_path: Path, content: dict[str, Any], place: str, value: Any, message: str
):
    # given
    *within, key = place.split(".")
    settings = content
    for name in within:
        settings = settings.setdefault(name, {})
    settings[key] = value
    if value is MISSING:
        del settings[key]

    # then
    assert (message or f"{place}: ") in refusal(tmp_path, content)


def test_what_the_file_leaves_out_is_the_data_sets():
    # when
    config = ProjectConfig.from_yaml(PROJECT_YAML, dataset="marvel_wikia_2014")

    # then
    assert config.num_features == ("Appearances", "Year")
    assert config.qualified("train_set") == "marvel_dev.marvel_wikia_2014.train_set"
    assert config.experiment_name_custom == "/Shared/marvel-wikia-2014-custom"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "can't be read as YAML"),
        ("- dev", "expected keys and values"),
        (COURSE_YAML.replace("0.01", "fast"), "parameters.learning_rate: "),
        (re.sub("features: .*", "features: []", COURSE_YAML), "num_features and cat_features name nothing; the data"),
    ],
)
def test_a_file_that_can_not_be_used_is_named_with_the_key_as_it_stands_there(tmp_path: Path, text: str, problem: str):
    assert problem in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("absent.yml",), "absent.yml: can't be read as YAML: .*No such file .*MARVEL_CONFIG"),
        ((PROJECT_YAML, "test"), "test: expected a catalog_name, .* found None. Choose dev, acc or prd"),
        ((PROJECT_YAML, "dev", "dc_comics"), "there is no data set 'dc_comics' .MARVEL_DATASET."),
    ],
)
def test_what_a_variable_names_and_is_not_there_is_refused_with_the_variable_or_the_choices(
    arguments: tuple[Any, ...], problem: str
):
    with pytest.raises(ConfigError, match=problem):
        ProjectConfig.from_yaml(*arguments)


@pytest.mark.parametrize("model", [{"n_estimators": 300}, {"kind": "hist_gradient_boosting", "max_iter": 30}])
def test_arguments_of_the_classifier_take_the_place_of_those_configured(model: dict[str, object]):
    # when
    changed = ProjectConfig.from_yaml(PROJECT_YAML).with_parameters(model)

    # then
    assert changed.model.model_dump().items() >= model.items()
