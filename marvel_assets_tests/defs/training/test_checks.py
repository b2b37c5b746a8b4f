"""The inspection of a logged model: once for each model, and again whenever a person asks."""

import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from marvel_assets.defs.training.assets import SAME_ROWS, basic_model
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import checks_of, inspect_alone, run_graph
from marvel_assets_tests.homes import Templates

pytestmark = pytest.mark.integration

FAIR = 0.1


def test_a_model_that_passed_is_not_inspected_again_by_the_next_run(
    given_runs: Callable[..., ProjectPaths], templates: Templates
):
    # given
    home = given_runs(FAIR)
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        [first] = instance.get_runs()

    # when
    second = run_graph(home, templates.source(FAIR))

    # then
    handed_on = [check for check in second.get_asset_check_evaluations() if check.asset_key == basic_model.key]
    assert len(handed_on) == 2
    for check in handed_on:
        assert check.passed
        assert check.metadata["inspected_in"].value == first.run_id


def test_a_model_is_inspected_with_its_own_features_after_the_configured_ones_have_changed(
    given_runs: Callable[..., ProjectPaths], without_magic: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    home = given_runs(FAIR)
    monkeypatch.setenv("MARVEL_CONFIG", str(without_magic))

    # when
    result = inspect_alone(home)

    # then
    assert set(checks_of(result).values()) == {True}


def test_the_checks_alone_look_again(given_runs: Callable[..., ProjectPaths]):
    # given: the rows that the model was fitted on are gone
    home = given_runs(FAIR)
    assert checks_of(inspect_alone(home))[SAME_ROWS]
    shutil.rmtree(home.warehouse / "marvel_dev" / "marvel_characters" / "train_set")

    # when
    result = inspect_alone(home)

    # then
    assert not checks_of(result)[SAME_ROWS]
