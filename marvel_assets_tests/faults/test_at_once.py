"""Runs that start at the same moment, and readers while aliases move.

Everything is made once, retrainings run one after the other, and every read sees a consistent pair of READY versions.
"""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import READY
from marvel_assets.registry.model_pairs import BASIC_MODEL_ID, ModelPair, ModelPairs
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import BASIC, state_of, succeeded
from marvel_assets_tests.faults import amount
from marvel_assets_tests.faults.conftest import Differences
from marvel_assets_tests.faults.runs import run
from marvel_assets_tests.homes import mislabelled_characters
from marvel_assets_tests.registry.backends import Backend, pairs_of

GOOD, WORSE = 0.0, 0.1
"""Shares of training rows with the wrong label. Alone, either passes the gate; against the good one, not the worse."""

WAITING_RUN = """
import os, sys, time
from pathlib import Path
import deltalake, duckdb, lightgbm, matplotlib.pyplot, mlflow.pyfunc, mlflow.sklearn, skops.io
import marvel_assets.definitions
from dagster._cli import main
from marvel_assets.paths import ProjectPaths

barrier, runs = Path(os.environ["BARRIER"]), int(os.environ["RUNS"])
(barrier / str(os.getpid())).touch()
while len(list(barrier.iterdir())) < runs:
    time.sleep(0.01)
ProjectPaths.from_environment().prepare()
sys.argv = ["dagster", "asset", "materialize", "-m", "marvel_assets.definitions", "--select", "*"]
main()
"""
"""Imports everything, and waits for the other runs."""


def run_at_once(home: ProjectPaths, *environments: dict[str, str]) -> None:
    """Start a run with each environment at the same moment; all must succeed. The home need not exist yet."""
    (barrier := home.root.with_name("barrier")).mkdir()
    shared = {"command": ("-c", WAITING_RUN), "BARRIER": str(barrier), "RUNS": str(len(environments))}
    with ThreadPoolExecutor() as pool:
        for done in list(pool.map(lambda environment: run(home, **shared, **environment), environments)):
            succeeded(done)


@pytest.mark.slow(reason="every run is another process")
@pytest.mark.parametrize("_round", range(amount(1, 20)))
def test_runs_at_once_from_a_fresh_home_succeed_and_make_everything_once(
    tmp_path: Path, differences: Differences, _round: int
):
    # given
    home = ProjectPaths(tmp_path / "home")

    # when
    run_at_once(home, *[{}] * amount(2, 4))

    # then
    assert differences(home) == []


@pytest.mark.slow(reason="every run is another process")
@pytest.mark.parametrize("number", range(amount(0, 20)))
def test_two_retrainings_on_different_data_run_one_after_the_other_and_the_gates_winner_is_served(
    tmp_path: Path, config: ProjectConfig, small_project: Path, number: int
):
    # given: whichever is started first may run first
    home = ProjectPaths(tmp_path / "home")
    good, worse = (str(mislabelled_characters(tmp_path, share)) for share in (GOOD, WORSE))
    order = (good, worse) if number % 2 else (worse, good)

    # when
    run_at_once(home, *({"MARVEL_SOURCE": source} for source in order))

    # then: each run made its tables of its own rows, none between the other's
    raw, train = provenance(home, config, "raw_characters"), provenance(home, config, "train_set")
    read = [int(commit["raw_characters"].rpartition("@v")[2]) for commit in train]
    assert read == [0, 1]

    # and the later one was compared with the earlier one
    versions = 2 if raw[0]["source"] == worse else 1
    aliases = state_of(home, small_project).aliases
    assert [*aliases.values()] == [versions] * 2
    served = connect(home.mlflow_uri, home.locks).get_model_version_by_alias(config.qualified(BASIC), "latest-model")
    assert raw[read[int(served.tags["train_set"].removeprefix("v"))]]["source"] == good


def provenance(home: ProjectPaths, config: ProjectConfig, table: str) -> list[dict[str, Any]]:
    """What each commit of a table recorded, the oldest first."""
    history = DeltaTable(home.warehouse.joinpath(*config.qualified(table).split("."))).history()
    return [json.loads(entry["userMetadata"])["provenance"] for entry in reversed(history)]


MOVES = amount({"embedded": 6, "oss": 4}, {"embedded": 800, "oss": 100, "databricks": 100})


def problems_until(stop: threading.Event, pairs: ModelPairs) -> list[str]:
    """For each read of the served pair what is wrong with it, or an empty text."""
    problems = []
    while not stop.wait(0.05):  # so that the moves, in the same process, get processor time
        try:
            pair = pairs.current()
            statuses = (pair.basic.status, pair.custom.status)
            is_whole = statuses == (READY, READY) and pair.custom.tags[BASIC_MODEL_ID] == pair.basic.model_id
            problems.append("" if is_whole else f"{pair}")
        except Exception as error:  # noqa: BLE001 - whatever reaches a reader is a finding
            problems.append(f"{type(error).__name__}: {error}")
    return problems


@pytest.mark.parametrize(("kind", "moves"), MOVES.items())
def test_every_read_during_the_moves_sees_a_ready_pair_that_belongs_together(
    made_backend: Callable[[str], Backend], small_project: Path, kind: str, moves: int
):
    # given: two pairs, one of them served, and readers at work
    backend = made_backend(kind)
    pairs, registry = pairs_of(backend, small_project), backend.registry
    first, second, third = (model.model_id for model in backend.models)
    made = [
        ModelPair(
            registry.register(pairs.basic_name, basic, {}, "made by a test"),
            registry.register(pairs.custom_name, custom, {BASIC_MODEL_ID: basic}, "made by a test"),
        )
        for basic, custom in ((first, second), (second, third))
    ]
    pairs.set_aliases(made[0], expected="")
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(problems_until, stop, pairs_of(backend, small_project)) for _ in range(2)]

        # when
        try:
            for move in range(1, moves + 1):
                served, challenger = made[(move - 1) % 2], made[move % 2]
                pairs.set_aliases(challenger, served.basic.model_id, {}, "a move of the test" if move % 3 else "")
        finally:
            stop.set()

    # then
    assert [set(reader.result()) for reader in readers] == [{""}, {""}]
    assert pairs.reconcile_aliases() is None
    assert pairs.current().custom.version == challenger.custom.version
