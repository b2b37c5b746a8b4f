"""kill -9 at every kind of boundary: the next run converges to what an undisturbed run would have made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.home import Home
from marvel_assets_tests.commands import succeeded
from marvel_assets_tests.faults.conftest import KILLS, LOST
from marvel_assets_tests.faults.inventory import differences, inventory
from marvel_assets_tests.faults.kills import Moment, is_killed, run, spread
from marvel_assets_tests.faults.scale import amount

pytestmark = pytest.mark.slow

LANDMARKS = {
    "raw_characters: delta raw_characters": "within",
    "characters: delta train_set": "after",
    "fitted_pipeline: replace pipelines/*.json": "before",
    "basic_model: mlflow finalize_logged_model": "after",
    "basic_model: mlflow set_logged_model_tags": "after",
    "basic_model_version: mlflow create_model_version": "after",
    "custom_model_version: mlflow set_registered_model_alias": "after",
    "survival_predictions: delta survival_predictions": "within",
}
"""The commits that the sample covers: tables, the fit's store, logging, registration, aliases, predictions."""


@pytest.fixture(scope="module")
def environment(small_project: Path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARVEL_CONFIG", str(small_project))
        for name in ("MARVEL_SOURCE", "MARVEL_ENV", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def config(small_project: Path) -> ProjectConfig:
    return ProjectConfig.from_yaml(small_project)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig, environment: None
) -> tuple[list[str], dict[str, Any]]:
    """The boundaries that a run passes in a fresh home, and what the home holds afterwards."""
    folder = tmp_path_factory.mktemp("undisturbed")
    home, record = Home(folder / "home"), folder / "boundaries"
    home.prepare()
    succeeded(run(home, record=record))
    return record.read_text().splitlines(), inventory(home, config)


@pytest.fixture(scope="module")
def moments(undisturbed: tuple[list[str], dict[str, Any]]) -> list[Moment]:
    boundaries, _ = undisturbed
    return spread(boundaries, LANDMARKS, amount(len(LANDMARKS), 50))


@pytest.fixture
def fresh(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.mark.parametrize("number", range(amount(len(LANDMARKS), 50)))
def test_the_run_after_a_kill_leaves_what_an_undisturbed_run_would_have_left(
    fresh: Home,
    config: ProjectConfig,
    undisturbed: tuple[list[str], dict[str, Any]],
    moments: list[Moment],
    number: int,
    record_property: Callable[[str, object], None],
):
    # given
    moment = moments[number]
    assert is_killed(run(fresh, moment)), f"not killed {moment}"

    # when
    succeeded(run(fresh))

    # then
    lost = differences(undisturbed[1], inventory(fresh, config))
    record_property(KILLS, 1)
    record_property(LOST, len(lost))
    assert lost == [], f"killed {moment}"
