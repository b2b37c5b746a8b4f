"""Readers while the pair moves: every read sees a READY version, and every pair belongs together."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from marvel_assets.registry.base import READY
from marvel_assets.registry.model_pairs import ALIAS, BASIC_MODEL_ID, ModelPair, ModelPairs
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.registry.backends import Backend, pairs_of

MOVES = {"embedded": amount(6, 800), "oss": amount(4, 100), "databricks": amount(4, 100)}
THREADS = 3
BETWEEN_READS_SECONDS = 0.01
"""So that the moves, in the same process, get processor time."""


def read_until(stop: threading.Event, pairs: ModelPairs) -> list[str]:
    """What each read of what is under the alias found wrong with it, or nothing."""
    problems = []
    while not stop.wait(BETWEEN_READS_SECONDS):
        try:
            pair = pairs.current()
        except Exception as error:  # noqa: BLE001 - whatever reaches a reader is a finding
            problems.append(f"{type(error).__name__}: {error}")
            continue
        is_whole = pair is not None and (
            (pair.basic.status, pair.custom.status) == (READY, READY)
            and pair.custom.tags[BASIC_MODEL_ID] == pair.basic.model_id
        )
        problems.append("" if is_whole else f"{pair}")
    return problems


def test_every_read_during_the_moves_sees_a_ready_pair_that_belongs_together(backend: Backend, small_project: Path):
    # given: two pairs, one of them served, and readers that have begun
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
    stop, moves = threading.Event(), MOVES[backend.settings.get("backend", "embedded")]
    with ThreadPoolExecutor(THREADS) as pool:
        readers = [pool.submit(read_until, stop, pairs_of(backend, small_project)) for _ in range(THREADS)]

        # when
        try:
            for move in range(1, moves + 1):
                served, to = made[(move - 1) % 2], made[move % 2]
                pairs.set_aliases(to, served.basic.model_id, {}, "a move of the test" if move % 3 else "")
        finally:
            stop.set()

    # then
    for reader in readers:
        assert reader.result()
        assert [problem for problem in reader.result() if problem] == []
    for name, version in ((pairs.basic_name, to.basic), (pairs.custom_name, to.custom)):
        assert registry.get_version_by_alias(name, ALIAS).version == version.version
