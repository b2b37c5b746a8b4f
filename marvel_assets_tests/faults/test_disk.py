"""A disk that is full, a home that can't be written to, a source that can't be read: told clearly, and nothing lost."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pytest
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.disk_space import FREE_BYTES
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.storage.engines.base import ScratchSpaceError
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.tables import Tables
from marvel_assets_tests.commands import CUSTOM, SECONDS, TABLES, State, state_of, users_environment
from marvel_assets_tests.faults.conftest import LOST
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import run_graph
from marvel_assets_tests.homes import Templates, copy_of

Command = Callable[..., subprocess.CompletedProcess[str]]

DISK_BYTES = FREE_BYTES + (60 << 20)
SEED = 616
WHILE_IT_RUNS = amount(1, 25)
"""How many amounts of free space are tried, from next to nothing to nearly what a run needs."""

FULL = "The disk is full"
RUN_AGAIN = "run again: existing data is intact"
MARVEL = (sys.executable, "-c", "from marvel_assets.cli import main; main()")

COMMANDS_ONE_AFTER_ANOTHER = """
import contextlib, io, json, subprocess, sys
from marvel_assets import cli

answers = []
for closing, opening, part, command in json.loads(sys.argv[1]):
    deep = ["-R"] if opening == "u+w" else []
    subprocess.run(["chmod", *deep, closing, part], check=True)
    said, sys.argv[1:] = io.StringIO(), [command]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            cli.main()
    except SystemExit as end:
        is_sentence = isinstance(end.code, str)
        answers.append([1 if is_sentence else end.code or 0, said.getvalue() + (end.code if is_sentence else "")])
    finally:
        subprocess.run(["chmod", *deep, opening, part], check=True)
print(json.dumps(answers))
"""

RIGHTS_OF_ROOT = "-dac_override,-dac_read_search"
UNPRIVILEGED = ("setpriv", f"--bounding-set={RIGHTS_OF_ROOT}", f"--inh-caps={RIGHTS_OF_ROOT}") * (os.geteuid() == 0)
"""Begins a command to which permissions apply. Its user stays the one who owns the checkout, which may be closed to
others."""


@dataclass(frozen=True)
class Disk:
    """A small disk of its own with a home on it, and that home as the first good retraining left it.

    Attributes:
        home: the home.
        kept: a copy of it, elsewhere.
        better: a source that makes a better model than that of the first retraining.
    """

    home: ProjectPaths
    kept: Path
    better: Path

    def restore(self) -> None:
        """Make the home hold what it held after the first retraining, in the same files: MLflow has some open."""
        wanted = {path.relative_to(self.kept) for path in self.kept.rglob("*")}
        for path in sorted(self.home.root.rglob("*"), reverse=True):
            if path.relative_to(self.home.root) not in wanted:
                path.rmdir() if path.is_dir() else path.unlink()
        shutil.copytree(self.kept, self.home.root, dirs_exist_ok=True)

    @property
    def free_kib(self) -> int:
        """What is free on the disk."""
        return shutil.disk_usage(self.home.root).free >> 10

    @property
    def filler(self) -> Path:
        """What fills the disk, beside the home."""
        return self.home.root.parent / "filler"

    def fill(self, leave_kib: int) -> None:
        """Fill the disk but for so much."""
        with self.filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max((self.free_kib - leave_kib) << 10, 1))

    def contents(self) -> dict[str, str]:
        """Every file of the home, by its hash."""
        files = (path for path in self.home.root.rglob("*") if path.is_file())
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@dataclass(frozen=True)
class Undisturbed:
    """What retraining with the better data makes where nothing is in its way."""

    state: State
    contents: dict[str, str]
    predictions: dict[str, str]
    kib: int


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small file system in memory."""
    folder = tmp_path_factory.mktemp("disk")
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}"]
    done = subprocess.run(["mount", *options, "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"no file system can be mounted here: {done.stderr.strip()}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def home_on_it(mounted: Path, small_project: Path) -> Iterator[ProjectPaths]:
    """Commands and resources find the home on the small disk."""
    home = ProjectPaths(mounted / "home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MARVEL_HOME", str(home.root))
        environment.setenv("MARVEL_CONFIG", str(small_project))
        environment.setenv("DAGSTER_HOME", str(home.dagster))
        for name in ("MARVEL_SOURCE", "MARVEL_ENV", "MLFLOW_TRACKING_URI"):
            environment.delenv(name, raising=False)
        yield home


@pytest.fixture(scope="module")
def first_retraining(home_on_it: ProjectPaths, templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """The first good retraining: tables at version 0, version 1 under the aliases."""
    made = Disk(home_on_it, tmp_path_factory.mktemp("kept") / "home", templates.source(0.0))
    shutil.copytree(copy_of(templates.after(0.1), made.home.root).root, made.kept)
    return made


@pytest.fixture(scope="module")
def undisturbed(first_retraining: Disk, small_project: Path) -> Undisturbed:
    """The second retraining, with all the space that it wants."""
    disk = first_retraining
    before = disk.free_kib
    assert run_graph(disk.home, disk.better).success
    kib = before - disk.free_kib
    found = Undisturbed(
        state_of(disk.home, small_project), contents_of(disk.home, small_project), scores(disk.home, small_project), kib
    )
    disk.restore()
    return found


@pytest.fixture
def disk(first_retraining: Disk) -> Iterator[Disk]:
    """The small disk, as the first retraining left it."""
    yield first_retraining
    first_retraining.filler.unlink(missing_ok=True)
    first_retraining.restore()


def located(home: ProjectPaths, project: Path, table: str) -> Path:
    return home.warehouse.joinpath(*ProjectConfig.from_yaml(project).qualified(table).split("."))


def contents_of(home: ProjectPaths, project: Path) -> dict[str, str]:
    """What the newest commit of each table says of its rows."""
    tables = Tables(warehouse=str(home.warehouse), locks=str(home.locks), provenance=str(home.provenance))
    config = ProjectConfig.from_yaml(project)
    return {table: tables.latest(config.qualified(table)).table.content for table in TABLES}


def scores(home: ProjectPaths, project: Path) -> dict[str, str]:
    """What the predictions' table says of everybody."""
    rows = DeltaTable(located(home, project, "survival_predictions")).to_pyarrow_table(columns=["Id", "prediction"])
    return dict(zip(rows["Id"].to_pylist(), rows["prediction"].to_pylist(), strict=True))


def lost_rows(home: ProjectPaths, project: Path, first: State) -> int:
    """How many rows of the tables' first versions can't be read any more."""
    tables = Tables(warehouse=str(home.warehouse), locks=str(home.locks), provenance=str(home.provenance))
    config = ProjectConfig.from_yaml(project)
    lost = 0
    for name, version in first.table_versions.items():
        if name in {"train_set", "test_set"}:
            old = TableVersion(config.qualified(name), version, first.table_rows[name], "")
            lost += old.rows - tables.read(old).num_rows
        else:
            lost += first.table_rows[name] - DeltaTable(located(home, project, name), version=version).count()
    return lost


def answer_of_the_served(project: Path) -> object:
    """What the custom model under the alias says of a character."""
    from marvel_assets.tracking.signature import example_frame

    config = ProjectConfig.from_yaml(project)
    model = mlflow.pyfunc.load_model(f"models:/{config.qualified(CUSTOM)}@latest-model")
    return model.predict(example_frame(config.dataset, config.features))


def run_unprivileged(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNPRIVILEGED, *MARVEL, *command],
        cwd=PROJECT_ROOT, env={**users_environment(), **settings},
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


def answers_unprivileged(*cases: tuple[str, str, Path, str]) -> list[tuple[int, str]]:
    """How commands end and what they say while a part is closed to them, all in one process.

    Args:
        cases: what closes the part for `chmod`, what opens it again, the part, and the command.
    """
    asked = json.dumps([[closing, opening, str(part), command] for closing, opening, part, command in cases])
    done = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-c", COMMANDS_ONE_AFTER_ANOTHER, asked],
        cwd=PROJECT_ROOT, env=users_environment(), capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [tuple(answer) for answer in json.loads(done.stdout.splitlines()[-1])]


def run_that_runs_out(disk: Disk, leave_kib: int) -> tuple[int, str]:
    """Retrain with better data, and fill the disk when the run has begun to read them."""
    with subprocess.Popen(
        [*MARVEL, "run"], cwd=PROJECT_ROOT, env={**users_environment(), "MARVEL_SOURCE": str(disk.better)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if f"Reading {disk.better}" in line:
                disk.fill(leave_kib)
    assert disk.filler.exists(), "".join(printed)
    return process.returncode, "".join(printed)


def test_a_run_that_starts_on_a_full_disk_is_refused_before_it_changes_anything(disk: Disk, marvel_here: Command):
    # given
    disk.fill(102_000)
    before = disk.contents()

    # when
    done = marvel_here("run", MARVEL_SOURCE=str(disk.better))

    # then
    assert done.returncode != 0
    [message] = (done.stdout + done.stderr).splitlines()
    assert message.startswith(f"{FULL}, or nearly: {disk.home.root} has 99.6 MB free")
    assert RUN_AGAIN in message
    assert disk.contents() == before


@pytest.mark.parametrize("case", range(WHILE_IT_RUNS))
@pytest.mark.slow(reason="a run in a process of its own, and another one")
def test_a_run_whose_disk_fills_up_loses_nothing_and_the_next_one_ends_well(
    disk: Disk, undisturbed: Undisturbed, small_project: Path, record_property: Callable[[str, int], None], case: int
):
    # given
    kib = int((case + np.random.default_rng(SEED + case).random()) / WHILE_IT_RUNS * undisturbed.kib)
    first, answer = state_of(disk.home, small_project), answer_of_the_served(small_project)

    # when
    code, printed = run_that_runs_out(disk, kib)

    # then: it is told as the last thing, and what was there is there
    told = printed.splitlines()[-1]
    full = state_of(disk.home, small_project)
    assert code != 0
    assert told.startswith(f"{FULL}, or nearly: {disk.home.root} has "), printed[-4000:]
    assert RUN_AGAIN in told
    assert full.aliases == first.aliases
    assert answer_of_the_served(small_project) == answer
    lost = lost_rows(disk.home, small_project, first)

    # when: there is room again
    disk.filler.unlink()
    assert run_graph(disk.home, disk.better).success

    # then
    after = state_of(disk.home, small_project)
    assert contents_of(disk.home, small_project) == undisturbed.contents
    assert after.table_versions == undisturbed.state.table_versions
    assert after.versions == undisturbed.state.versions
    assert after.aliases == undisturbed.state.aliases
    assert "RUNNING" not in after.mlflow_runs.values()
    predicted = scores(disk.home, small_project)
    lost += len(undisturbed.predictions.items() - predicted.items())
    record_property(LOST, lost)
    assert lost == 0
    assert predicted == undisturbed.predictions


def test_a_full_disk_does_not_keep_the_summary_from_being_told(disk: Disk, marvel_here: Command):
    # given
    disk.fill(0)

    # when
    done = marvel_here("summary")

    # then
    assert done.returncode == 0, done.stderr
    assert "it answers" in done.stdout


def test_settings_of_the_instance_that_can_not_be_renewed_stay_as_they_were(disk: Disk):
    # given: they are another release's
    settings = disk.home.dagster / "dagster.yaml"
    settings.write_text("telemetry: {enabled: false}\n")
    disk.fill(0)

    # when
    with pytest.raises(OSError, match=f"No space left on device: '{settings}'"):
        disk.home.prepare()

    # then
    assert settings.read_text() == "telemetry: {enabled: false}\n"
    assert [file.name for file in settings.parent.glob(".dagster.yaml*")] == []


def test_rows_that_fit_neither_memory_nor_disk_are_told_with_the_folder(disk: Disk):
    # given
    scratch = disk.home.scratch
    disk.fill(4_000)
    engine = DuckDBEngine(scratch=str(scratch), memory_limit="60MB")

    # then
    with (
        pytest.raises(ScratchSpaceError, match=f"{scratch}: the rows don't fit into 60MB of memory.*Free some space"),
        engine.session() as session,
    ):
        session.create_table_as(
            "SELECT md5(i::varchar) AS a, md5(a) AS b FROM range(3000000) AS t(i) ORDER BY a", "sorted"
        )
    assert list(scratch.iterdir()) == []


def test_a_home_on_a_read_only_disk_is_named_and_still_read(disk: Disk, marvel_here: Command):
    # given
    before = disk.contents()
    subprocess.run(["mount", "--bind", str(disk.home.root), str(disk.home.root)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk.home.root)], check=True)
        # when
        refused, read = marvel_here("run", MARVEL_SOURCE=str(disk.better)), marvel_here("summary")
    finally:
        subprocess.run(["umount", "--lazy", str(disk.home.root)], check=True)

    # then
    assert refused.returncode != 0
    [told] = (refused.stdout + refused.stderr).splitlines()
    assert told.startswith(f"{disk.home.root} can't be written to: user {os.geteuid()} has no permission, or its ")
    assert "set MARVEL_HOME to another folder" in told
    assert read.returncode == 0, read.stderr
    assert "it answers" in read.stdout
    assert disk.contents() == before


def test_a_part_of_the_home_that_belongs_to_others_is_named(disk: Disk):
    # given
    before = disk.contents()
    parts = [disk.home.root, disk.home.mlflow_database, disk.home.warehouse]

    # when
    answers = answers_unprivileged(*[("a-w", "u+w", part, "run") for part in parts])

    # then
    for part, (code, message) in zip(parts, answers, strict=True):
        assert code != 0
        assert message.startswith(f"{part} can't be written to: user ")
        assert "has no permission, or its file system is mounted read-only. Grant this user access" in message
        assert len(message.splitlines()) == 1
    assert disk.contents() == before


def test_a_home_that_can_not_be_looked_into_is_named(disk: Disk):
    # given
    closed = [(disk.home.root, "summary"), (disk.home.references, "summary"), (disk.home.references, "run")]

    # when
    answers = answers_unprivileged(*[("0", "755", part, command) for part, command in closed])

    # then
    for (part, _), (code, message) in zip(closed, answers, strict=True):
        assert code != 0
        assert message.splitlines()[-1].startswith(f"{part} can't be ")


@pytest.mark.parametrize("what", ["its folder", "the file"][: amount(1, 2)])
def test_a_source_that_may_not_be_read_is_named_and_nothing_changes(
    disk: Disk, small_project: Path, tmp_path: Path, what: str
):
    # given
    source = tmp_path / "theirs" / "characters.csv"
    source.parent.mkdir()
    shutil.copyfile(disk.better, source)
    closed = source if what == "the file" else source.parent
    before = state_of(disk.home, small_project)
    closed.chmod(0)
    try:
        # when
        refused = run_unprivileged("run", MARVEL_SOURCE=str(source))
    finally:
        closed.chmod(0o755)

    # then
    assert refused.returncode != 0
    [told] = [line for line in refused.stdout.splitlines() if "failed: " in line]
    assert f"{source}: " in told
    assert "Permission denied" in told
    assert "Traceback" not in refused.stdout
    assert state_of(disk.home, small_project) == before


def test_a_source_that_can_not_be_written_to_is_read(disk: Disk, tmp_path: Path):
    # given
    source = tmp_path / "theirs"
    shutil.copytree(located(disk.home, Path(os.environ["MARVEL_CONFIG"]), "raw_characters"), source)
    subprocess.run(["chmod", "-R", "a-w", str(source)], check=True)

    # when
    done = run_unprivileged("run", "--select", "raw_characters", MARVEL_SOURCE=str(source))

    # then
    assert done.returncode == 0, done.stderr
    assert f"Reading {source}@v0" in done.stdout
