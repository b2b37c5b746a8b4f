"""The inspection of a logged model: once for each model, and again whenever a person asks."""

import shutil
from pathlib import Path

import pytest

from marvel_assets.assets.training import basic_model
from marvel_assets.checks.training import SAME_ROWS
from marvel_assets.home import Home
from marvel_assets_tests.graph import checks_of, inspect_alone, run_graph
from marvel_assets_tests.planted import spoilt_characters


@pytest.fixture
def characters(tmp_path: Path) -> Path:
    return spoilt_characters(tmp_path, 0.1)


def test_a_model_that_passed_is_not_inspected_again_by_the_next_run(home: Home, characters: Path):
    # given
    first = run_graph(home, characters)

    # when
    second = run_graph(home, characters)

    # then
    handed_on = [check for check in second.get_asset_check_evaluations() if check.asset_key == basic_model.key]
    assert len(handed_on) == 3
    for check in handed_on:
        assert check.passed
        assert check.metadata["inspected_in"].value == first.run_id


def test_the_checks_alone_look_again(home: Home, characters: Path):
    # given: the rows that the model was fitted on are gone
    run_graph(home, characters)
    assert checks_of(inspect_alone(home))[SAME_ROWS]
    shutil.rmtree(home.warehouse / "marvel_dev" / "marvel_characters" / "train_set")

    # when
    result = inspect_alone(home)

    # then
    assert not checks_of(result)[SAME_ROWS]
