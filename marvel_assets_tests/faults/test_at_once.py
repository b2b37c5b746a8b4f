"""Runs that start at the same moment: everything is made once, and retrainings come one after the other."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.registry.model_pairs import ModelPairs
from marvel_assets.tracking.artifacts import dataset_source
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import BASIC, users_environment
from marvel_assets_tests.faults.conftest import Undisturbed
from marvel_assets_tests.faults.inventory import differences, inventory
from marvel_assets_tests.faults.kills import settings_of
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.planted import spoilt_characters

pytestmark = pytest.mark.slow(reason="every run is a process of its own")

AT_ONCE = amount(2, 4)
GOOD, WORSE = 0.0, 0.1
"""Shares of training rows with the wrong label. Alone, either passes the gate; against the good one, not the worse."""

SECONDS = 500
WAITING_RUN = """
import sys
import deltalake, duckdb, lightgbm, matplotlib.pyplot, mlflow.pyfunc, mlflow.sklearn, skops.io
import marvel_assets.definitions
from dagster._cli import main
from marvel_assets.paths import ProjectPaths

print("ready", flush=True)
sys.stdin.read()
ProjectPaths.from_environment().prepare()
sys.argv = ["dagster", "asset", "materialize", "-m", "marvel_assets.definitions", "--select", "*"]
main()
"""
"""Has imported everything, and waits for the word."""


def run_at_once(home: ProjectPaths, folder: Path, environments: Sequence[Mapping[str, str]]) -> list[str]:
    """Start a run with each environment at the same moment in one home; returns what went wrong in those that failed.

    Args:
        home: need not be there yet.
        folder: for what the runs print.
        environments: one for each run, added to the test's own.
    """
    printed = [folder / f"run-{number}.txt" for number in range(len(environments))]
    with ExitStack() as stack:
        runs = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WAITING_RUN],
                    cwd=PROJECT_ROOT,
                    env={**users_environment(), **settings_of(home), **environment},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stack.enter_context(file.open("w")),
                    text=True,
                )
            )
            for file, environment in zip(printed, environments, strict=True)
        ]
        stack.callback(lambda: [run.kill() for run in runs])
        for run in runs:
            assert run.stdout.readline() == "ready\n"
        for run in runs:
            run.stdin.close()
        codes = [run.wait(SECONDS) for run in runs]
    return [file.read_text()[-4000:] for code, file in zip(codes, printed, strict=True) if code != 0]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    folder = tmp_path_factory.mktemp("planted")
    return {share: spoilt_characters(folder, share) for share in (GOOD, WORSE)}


@pytest.mark.parametrize("_round", range(amount(1, 20)))
def test_runs_at_once_from_a_fresh_home_end_well_and_make_everything_once(
    tmp_path: Path,
    config: ProjectConfig,
    undisturbed: Undisturbed,
    _round: int,
):
    # given
    home = ProjectPaths(tmp_path / "home")

    # when
    failed = run_at_once(home, tmp_path, [{}] * AT_ONCE)

    # then
    assert failed == []
    assert differences(undisturbed.holds, inventory(home, config)) == []


@pytest.mark.parametrize("number", range(amount(0, 20)))
def test_two_retrainings_on_different_data_come_one_after_the_other_and_the_gates_winner_is_served(
    tmp_path: Path,
    config: ProjectConfig,
    sources: dict[float, Path],
    number: int,
):
    # given: whoever is started first may come first
    home = ProjectPaths(tmp_path / "home")
    order = [GOOD, WORSE] if number % 2 else [WORSE, GOOD]

    # when
    failed = run_at_once(home, tmp_path, [{"MARVEL_SOURCE": str(sources[share])} for share in order])

    # then: each run made its tables of its own rows, none between the other's, and the later was judged by the gate
    assert failed == []
    came_first = Path(provenance(home, config, "raw_characters")[0]["source"]).name
    found = {
        "train_set": [commit["raw_characters"].rpartition("@v")[2] for commit in provenance(home, config, "train_set")],
        "served": served_source(home, config),
        "versions": len(registry_in(home).search_versions(config.qualified(BASIC))),
    }
    expected = {
        "train_set": ["0", "1"],
        "served": sources[GOOD].name,
        "versions": 2 if came_first == sources[WORSE].name else 1,
    }
    assert found == expected


def provenance(home: ProjectPaths, config: ProjectConfig, table: str) -> list[dict[str, Any]]:
    """What each commit of a table recorded, the first one first."""
    history = DeltaTable(home.warehouse.joinpath(*config.qualified(table).split("."))).history()
    return [json.loads(entry["userMetadata"])["provenance"] for entry in reversed(history)]


def registry_in(home: ProjectPaths) -> MlflowRegistry:
    return MlflowRegistry(connect(home.mlflow_uri, home.locks), home.locks)


def served_source(home: ProjectPaths, config: ProjectConfig) -> str:
    """The file that the served pair was trained on."""
    client = connect(home.mlflow_uri, home.locks)
    pairs = ModelPairs(registry_in(home), config, home.locks)
    assert pairs.reconcile_aliases() is None
    run = client.get_run(client.get_logged_model(pairs.current().basic.model_id).source_run_id)
    trained_on = dataset_source(run, "training").version
    raw = provenance(home, config, "train_set")[trained_on]["raw_characters"].rpartition("@v")[2]
    return Path(provenance(home, config, "raw_characters")[int(raw)]["source"]).name
