"""A disk that is full, a home that can't be written to, a source that can't be read: named, and nothing is lost."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.defs.disk_space import FREE_BYTES
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.storage.engines.base import ScratchSpaceError
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets_tests.commands import CUSTOM, SECONDS, TABLES, state_of, users_environment
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import run_graph
from marvel_assets_tests.homes import Templates, copy_of

Command = Callable[..., subprocess.CompletedProcess[str]]

DISK_BYTES = FREE_BYTES + (60 << 20)
LEFT_KIB = amount((2_000,), tuple(range(0, 6_000, 240)))
"""How much stays free when the disk fills up while a run reads; a run needs more."""

FULL = "The disk is full"
RUN_AGAIN = "run again: existing data is intact"
MARVEL = "from marvel_assets.cli import main; main()"

RIGHTS_OF_ROOT = "-dac_override,-dac_read_search"
UNPRIVILEGED = ("setpriv", f"--bounding-set={RIGHTS_OF_ROOT}", f"--inh-caps={RIGHTS_OF_ROOT}") * (os.geteuid() == 0)
"""Begins a command to which permissions apply. Its user stays the one who owns the checkout, which may be closed to
others."""


@dataclass(frozen=True)
class Disk:
    """A small disk of its own with a home on it, as a first good retraining left it.

    Attributes:
        home: tables at version 0, version 1 under the aliases.
        better: a source that makes a better model than that of the first retraining.
    """

    home: ProjectPaths
    better: Path

    @property
    def filler(self) -> Path:
        """What fills the disk."""
        return self.home.root / "filler"

    def fill(self, leave_kib: int) -> None:
        """Fill the disk but for so much."""
        with self.filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(self.home.root).free - (leave_kib << 10), 1))

    def contents(self) -> dict[str, str]:
        """Every file of the home, by its hash."""
        files = (path for path in self.home.root.rglob("*") if path.is_file() and path != self.filler)
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture
def disk(home: ProjectPaths, templates: Templates) -> Iterator[Disk]:
    """A small file system in memory, in the place of the test's home."""
    shutil.rmtree(home.root)
    home.root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(home.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"no file system can be mounted here: {done.stderr.strip()}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    copy_of(templates.after(0.1), home.root)
    yield Disk(home, templates.source(0.0))
    subprocess.run(["umount", "--lazy", str(home.root)], check=True)


def table_of(home: ProjectPaths, project: Path, table: str, version: int) -> DeltaTable:
    return DeltaTable(home.warehouse.joinpath(*ProjectConfig.from_yaml(project).qualified(table).split(".")), version)


def answer_of_the_served(project: Path) -> object:
    """What the custom model under the alias says of a character."""
    from marvel_assets.tracking.signature import example_frame

    config = ProjectConfig.from_yaml(project)
    model = mlflow.pyfunc.load_model(f"models:/{config.qualified(CUSTOM)}@latest-model")
    return model.predict(example_frame(config.dataset, config.features))


def unprivileged(*program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-c", *program],
        cwd=PROJECT_ROOT, env=users_environment(), capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip


def run_that_runs_out(disk: Disk, leave_kib: int) -> tuple[int, str]:
    """Retrain with better data, and fill the disk when the run has begun to read them."""
    with subprocess.Popen(
        [sys.executable, "-c", MARVEL, "run"],
        cwd=PROJECT_ROOT,
        env={**users_environment(), "MARVEL_SOURCE": str(disk.better)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
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


@pytest.mark.parametrize("kib", LEFT_KIB)
@pytest.mark.slow(reason="a run in a process of its own, and another one")
def test_a_run_whose_disk_fills_up_loses_nothing_and_the_next_one_ends_well(disk: Disk, small_project: Path, kib: int):
    # given
    first, answer = state_of(disk.home, small_project), answer_of_the_served(small_project)

    # when
    code, printed = run_that_runs_out(disk, kib)

    # then: it is reported as the last thing, and what was there is there
    reported = printed.splitlines()[-1]
    assert code != 0
    assert reported.startswith(f"{FULL}, or nearly: {disk.home.root} has "), printed[-4000:]
    assert RUN_AGAIN in reported
    assert state_of(disk.home, small_project).aliases == first.aliases
    assert answer_of_the_served(small_project) == answer
    for name, version in first.table_versions.items():
        assert table_of(disk.home, small_project, name, version).to_pyarrow_table().num_rows == first.table_rows[name]

    # when: there is space again
    disk.filler.unlink()
    assert run_graph(disk.home, disk.better).success

    # then
    after = state_of(disk.home, small_project)
    rows = after.table_rows
    assert rows["raw_characters"] == sum(rows[name] for name in TABLES[1:])
    assert after.aliases != first.aliases
    assert "RUNNING" not in after.mlflow_runs.values()


def test_rows_that_fit_neither_memory_nor_disk_are_reported_with_the_folder(disk: Disk):
    # given
    scratch = disk.home.scratch
    disk.fill(4_000)
    engine = DuckDBEngine(scratch=str(scratch), memory_limit="60MB")

    # then
    with (
        pytest.raises(ScratchSpaceError, match=f"{scratch}: the rows fit neither into 60MB of memory.*Free some space"),
        engine.session() as session,
    ):
        session.create_table_as(
            "SELECT md5(i::varchar) AS a, md5(a) AS b FROM range(3000000) AS t(i) ORDER BY a", "sorted"
        )
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("part", ["root", "warehouse"])
def test_a_part_of_the_home_that_can_not_be_written_to_is_named_and_still_read(
    disk: Disk, marvel_here: Command, part: str
):
    # given
    before, folder = disk.contents(), str(getattr(disk.home, part))
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        # when
        refused, read = marvel_here("run", MARVEL_SOURCE=str(disk.better)), marvel_here("summary")
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)

    # then
    assert refused.returncode != 0
    [message] = (refused.stdout + refused.stderr).splitlines()
    assert message.startswith(f"{folder} can't be written to: user {os.geteuid()} has no permission, or its ")
    assert "set MARVEL_HOME to another folder" in message
    assert read.returncode == 0, read.stderr
    assert "it answers" in read.stdout
    assert disk.contents() == before


def test_a_home_that_can_not_be_looked_into_is_not_taken_for_an_empty_one(disk: Disk):
    # given
    disk.home.root.chmod(0)

    # when
    done = unprivileged(MARVEL, "summary")

    # then
    disk.home.root.chmod(0o755)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith(f"{disk.home.root} can't be ")


def test_a_source_that_may_not_be_read_is_named(tmp_path: Path):
    # given
    source = tmp_path / "theirs" / "characters.csv"
    source.parent.mkdir()
    source.touch()
    source.parent.chmod(0)

    # when
    done = unprivileged(
        "import sys; from marvel_assets.sources.locate import path_of; path_of(sys.argv[1])", str(source)
    )

    # then
    source.parent.chmod(0o755)
    assert f"SourceError: {source}: can't be opened: Permission denied. Give this user read permission" in done.stderr
