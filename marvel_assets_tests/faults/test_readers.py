"""Readers while the pair moves: every read sees a READY version, and every pair belongs together."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from marvel_assets.registry.base import READY
from marvel_assets.registry.model_pairs import ALIAS, BASIC_MODEL_ID, ModelPair, ModelPairs
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.registry.backends import Backend, pairs_of

MOVES = {"embedded": amount(6, 800), "oss": amount(4, 100), "databricks": amount(4, 100)}
THREADS = 3
BETWEEN_READS_SECONDS = 0.01
"""So that the moves, in the same process, get their turn."""

SECONDS = 500


def problem_of(pairs: ModelPairs) -> str:
    """Read what is under the alias; what is wrong with it, or nothing."""
    try:
        pair = pairs.current()
    except Exception as error:  # noqa: BLE001 - whatever reaches a reader is a finding
        return f"{type(error).__name__}: {error}"
    if pair is None:
        return "nothing is under the alias"
    if {pair.basic.status, pair.custom.status} != {READY}:
        return f"not ready: {pair}"
    return "" if pair.custom.tags[BASIC_MODEL_ID] == pair.basic.model_id else f"does not belong together: {pair}"


class Reader(threading.Thread):
    """Reads again and again, and keeps what went wrong."""

    def __init__(self, look: Callable[[], str], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.reads, self.problems = 0, list[str]()
        self._look, self._stop_reading = look, stop

    def run(self) -> None:
        while not self._stop_reading.is_set():
            if problem := self._look():
                self.problems.append(problem)
            self.reads += 1
            self._stop_reading.wait(BETWEEN_READS_SECONDS)


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
    stop = threading.Event()
    readers = [Reader(partial(problem_of, pairs_of(backend, small_project)), stop) for _ in range(THREADS)]
    for reader in readers:
        reader.start()

    # when
    served = made[0]
    for turn in range(1, MOVES[backend.settings.get("backend", "embedded")] + 1):
        to = made[turn % 2]
        pairs.set_aliases(to, served.basic.model_id, {}, "a turn of the test" if turn % 3 else "")
        served = to
    stop.set()
    for reader in readers:
        reader.join(SECONDS)

    # then
    problems = [problem for reader in readers for problem in reader.problems]
    assert problems == []
    assert all(reader.reads for reader in readers)
    for name, version in ((pairs.basic_name, served.basic), (pairs.custom_name, served.custom)):
        assert registry.get_version_by_alias(name, ALIAS).version == version.version
