"""Readers while the pair moves: every read sees a READY version, and every pair belongs together."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.registry.base import READY, ModelRegistry, ModelVersion
from marvel_assets.registry.model_pairs import ALIAS, BASIC_MODEL_ID, ModelPair, ModelPairs
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import users_environment
from marvel_assets_tests.faults.conftest import LOST, READS
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.registry.backends import Backend, config_of, pairs_of

MOVES = {"embedded": amount(20, 800), "oss": amount(4, 100), "databricks": amount(4, 100)}
MOVES_TO_A_NEW_VERSION = 20
THREADS = 3
BETWEEN_READS_SECONDS = 0.01
"""So that the moves, in the same process, get their turn."""

SECONDS = 500

IN_ANOTHER_PROCESS = """
import json, sys
from pathlib import Path
from marvel_assets.config import ProjectConfig
from marvel_assets.registry.model_pairs import ModelPairs
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets_tests.faults.test_readers import problem_of

settings, config, folder = json.loads(sys.argv[1]), ProjectConfig.model_validate_json(sys.argv[2]), Path(sys.argv[3])
catalog = UnityCatalog(**settings).registry()
pairs, reads, problems = ModelPairs(catalog, config, Path(settings["locks"])), 0, []
while reads == 0 or not (folder / "stop").exists():
    problem = problem_of(catalog, pairs)
    problems += [problem] if problem else []
    reads += 1
    (folder / "reads").touch()
print(json.dumps([reads, problems]))
"""


def problem_of(catalog: ModelRegistry, read: ModelPairs) -> str:
    """Read by the alias in each way; what is wrong with what was read, or nothing."""
    try:
        version, pair = catalog.get_version_by_alias(read.custom_name, ALIAS), read.current()
    except Exception as error:  # noqa: BLE001 - whatever reaches a reader is a finding
        return f"{type(error).__name__}: {error}"
    if version is None or pair is None:
        return f"nothing is under the alias: {version}, {pair}"
    not_ready = [found for found in (version, pair.basic, pair.custom) if found.status != READY]
    if not_ready:
        return f"not ready: {not_ready}"
    if pair.custom.tags[BASIC_MODEL_ID] != pair.basic.model_id:
        return f"does not belong together: {pair}"
    return ""


def problem_of_mlflow(name: str, versions: set[str]) -> str:
    """The same for MLflow's own way from ``models:/…@alias`` to the files."""
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

    try:
        source = ModelsArtifactRepository.get_underlying_uri(f"models:/{name}@{ALIAS}")
    except Exception as error:  # noqa: BLE001 - whatever reaches a reader is a finding
        return f"{type(error).__name__}: {error}"
    return "" if any(model in source for model in versions) else f"of no version: {source}"


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


@pytest.fixture
def other_process(
    backend: Backend,
    small_project: Path,
    tmp_path: Path,
) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a reader in a process of its own, and returns when it has read once."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        arguments = [json.dumps(backend.settings), config_of(backend, small_project).model_dump_json(), str(tmp_path)]
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", IN_ANOTHER_PROCESS, *arguments],
            cwd=PROJECT_ROOT, env=users_environment(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        while not (tmp_path / "reads").exists():
            assert process.poll() is None, "the reader has ended before it has read"
            threading.Event().wait(0.05)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def registered(catalog: ModelRegistry, pairs: ModelPairs, basic: str, custom: str) -> ModelPair:
    """A pair of versions, of which none is served yet."""

    def version(name: str, model: str, tags: dict[str, str]) -> ModelVersion:
        return catalog.register(name, model, tags, "made by a test")

    return ModelPair(version(pairs.basic_name, basic, {}), version(pairs.custom_name, custom, {BASIC_MODEL_ID: basic}))


def new_models(backend: Backend, count: int) -> list[tuple[str, str]]:
    """Pairs of models that were not registered yet: where the registry copies no files, as many as are asked for."""
    first, third = backend.models[0].model_id, backend.models[2].model_id
    if backend.settings.get("backend", "embedded") != "embedded":
        return [(third, first)]
    client = connect(backend.settings["tracking_uri"], Path(backend.settings["locks"]))
    experiment = client.get_logged_model(first).experiment_id
    made = [client.create_logged_model(experiment).model_id for _ in range(2 * count)]
    return [(third, first), *zip(made[::2], made[1::2], strict=True)]


def test_every_read_during_the_moves_sees_a_ready_pair_that_belongs_together(
    backend: Backend,
    small_project: Path,
    other_process: Callable[[], subprocess.Popen[str]],
    tmp_path: Path,
    record_property: Callable[[str, int], None],
):
    # given: two pairs, one of them served, and readers that have begun
    kind, pairs = backend.settings.get("backend", "embedded"), pairs_of(backend, small_project)
    catalog, moves = backend.registry, MOVES[kind]
    first, second, _ = (model.model_id for model in backend.models)
    made = [registered(catalog, pairs, first, second), registered(catalog, pairs, second, backend.models[2].model_id)]
    coming = new_models(backend, moves // MOVES_TO_A_NEW_VERSION)
    known = {model for pair in coming for model in pair} | {model.model_id for model in backend.models}
    pairs.set_aliases(made[0], expected="")
    stop = threading.Event()
    looks: list[Callable[[], str]] = [lambda: problem_of(backend.registry, pairs)] * THREADS
    readers = [Reader(look, stop) for look in looks]
    if kind == "embedded":
        readers.append(Reader(lambda: problem_of_mlflow(pairs.custom_name, known), stop))
    process = other_process()
    for reader in readers:
        reader.start()

    # when: the pair moves, and new versions come
    served = made[0]
    for turn in range(1, moves + 1):
        if coming and turn % (moves // (len(coming) + 1)) == 0:
            made.append(registered(catalog, pairs, *coming.pop(0)))
        to = made[-1] if turn % 2 else made[turn % len(made)]
        pairs.set_aliases(to, served.basic.model_id, {}, "a turn of the test" if turn % 3 else "")
        served = to
    stop.set()
    (tmp_path / "stop").touch()
    for reader in readers:
        reader.join(SECONDS)
    reads, problems = json.loads(process.communicate(timeout=SECONDS)[0])

    # then
    problems += [problem for reader in readers for problem in reader.problems]
    record_property(READS, reads + sum(reader.reads for reader in readers))
    record_property(LOST, len(problems))
    assert problems == []
    assert coming == []
    assert all(reader.reads for reader in readers)
    assert pairs.current() == pairs.for_custom_version(served.custom.version)
    assert (
        UnityCatalog(**backend.settings).registry().get_version_by_alias(pairs.basic_name, ALIAS).version
        == served.basic.version
    )
