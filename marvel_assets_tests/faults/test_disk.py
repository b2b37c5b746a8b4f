"""A full disk, a home that can't be written to or read: named, and nothing is lost."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import mlflow
import pytest
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import FREE_BYTES, PROJECT_ROOT, ProjectPaths
from marvel_assets.storage.engines.base import StorageError
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.tracking.signature import example_frame
from marvel_assets_tests.commands import CUSTOM, MARVEL, TABLES, state_of, users_environment
from marvel_assets_tests.faults import amount
from marvel_assets_tests.graph import run_graph
from marvel_assets_tests.homes import Templates, copy_of

LEFT_KIB = amount((2_000,), tuple(range(0, 6_000, 240)))
"""How much stays free when the disk fills up while a run reads; a run needs more."""

FULL = "The disk is full, or nearly: "

RIGHTS_OF_ROOT = "-dac_override,-dac_read_search"
UNPRIVILEGED = ("setpriv", f"--bounding-set={RIGHTS_OF_ROOT}", f"--inh-caps={RIGHTS_OF_ROOT}") * (os.geteuid() == 0)
"""Begins a command to which permissions apply, although its user, perhaps root, may read the checkout."""


@pytest.fixture
def small_disk(home: ProjectPaths, templates: Templates) -> Iterator[ProjectPaths]:
    """The test's home on a small file system in memory, with version 1 served."""
    shutil.rmtree(home.root)
    home.root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={FREE_BYTES + (60 << 20)}", "tmpfs", str(home.root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"no file system can be mounted here: {done.stderr.strip()}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    yield copy_of(templates.after(0.1), home.root)
    subprocess.run(["umount", "--lazy", str(home.root)], check=True)


def fill(home: ProjectPaths, leave_kib: int) -> Path:
    """A file that fills the home's disk except for so much."""
    filler = home.root / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(home.root).free - (leave_kib << 10), 1))
    return filler


@contextmanager
def full(home: ProjectPaths) -> Iterator[str]:
    fill(home, 102_000)
    yield f"{FULL}{home.root} has 99.6 MB free"


@contextmanager
def read_only(folder: Path) -> Iterator[str]:
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield f"{folder} can't be written to: user {os.geteuid()} has no permission, its file system is mounted"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def contents(home: ProjectPaths) -> dict[Path, bytes]:
    """Every file of the home."""
    files = (path for path in home.root.rglob("*") if path.is_file() and path.name != "filler")
    return {file: hashlib.sha256(file.read_bytes()).digest() for file in files}


@pytest.mark.parametrize(
    "closed",
    [full, lambda home: read_only(home.root), lambda home: read_only(home.warehouse)],
    ids=["full", "read-only", "read-only warehouse"],
)
def test_a_run_that_could_not_write_is_refused_before_it_changes_anything_and_the_home_is_still_read(
    small_disk: ProjectPaths,
    templates: Templates,
    marvel_here: Callable[..., subprocess.CompletedProcess[str]],
    closed: Callable[[ProjectPaths], AbstractContextManager[str]],
):
    # given
    before = contents(small_disk)

    # when
    with closed(small_disk) as problem:
        refused, read = marvel_here("run", MARVEL_SOURCE=str(templates.source(0.0))), marvel_here("summary")

    # then
    assert refused.returncode != 0
    [message] = (refused.stdout + refused.stderr).splitlines()
    assert message.startswith(problem)
    assert "set MARVEL_HOME to a" in message
    assert read.returncode == 0, read.stderr
    assert "it answers" in read.stdout
    assert contents(small_disk) == before


def served_answer(config: ProjectConfig) -> object:
    """The answer of the custom model under the alias to the example."""
    model = mlflow.pyfunc.load_model(f"models:/{config.qualified(CUSTOM)}@latest-model")
    return model.predict(example_frame(config.dataset, config.features))


@pytest.mark.parametrize("kib", LEFT_KIB)
@pytest.mark.slow(reason="a run in another process, and one in this")
def test_a_run_whose_disk_fills_up_loses_nothing_and_the_next_one_ends_well(
    small_disk: ProjectPaths, templates: Templates, small_project: Path, kib: int
):
    # given
    config, first = ProjectConfig.from_yaml(small_project), state_of(small_disk, small_project)
    answer, better, printed = served_answer(config), str(templates.source(0.0)), ""

    # when: the disk fills up once a run has begun to read
    with subprocess.Popen(
        [*MARVEL, "run"], cwd=PROJECT_ROOT, env=users_environment() | {"MARVEL_SOURCE": better},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        for line in process.stdout:
            printed += line
            if f"Reading {better}" in line:
                filler = fill(small_disk, kib)

    # then: it is reported last, and nothing is lost
    assert process.returncode != 0
    reported = printed.splitlines()[-1]
    assert reported.startswith(f"{FULL}{small_disk.root} has "), printed[-4000:]
    assert "run again: existing data is intact" in reported
    assert state_of(small_disk, small_project).aliases == first.aliases
    assert served_answer(config) == answer
    for name, version in first.table_versions.items():
        folder = small_disk.warehouse.joinpath(*config.qualified(name).split("."))
        assert DeltaTable(folder, version).to_pyarrow_table().num_rows == first.table_rows[name]

    # and when there is space again
    filler.unlink()
    assert run_graph(small_disk, better).success

    # then
    after = state_of(small_disk, small_project)
    assert after.table_rows["raw_characters"] == sum(after.table_rows[name] for name in TABLES[1:])
    assert after.aliases != first.aliases
    assert "RUNNING" not in after.mlflow_runs.values()


def test_rows_that_fit_neither_memory_nor_disk_are_reported_with_the_folder(small_disk: ProjectPaths):
    # given
    fill(small_disk, 4_000)
    scratch = small_disk.scratch
    query = "SELECT md5(i::varchar) AS a, md5(a) AS b FROM range(3000000) AS t(i) ORDER BY a"

    # then
    with (
        pytest.raises(StorageError, match=f"{scratch}: the rows fit neither into 60MB of memory.*Free some space"),
        DuckDBEngine(scratch=str(scratch), max_memory=60).session() as session,
    ):
        session.create_table_as(query, "sorted")
    assert list(scratch.iterdir()) == []


def test_a_home_of_another_user_is_named(tmp_path: Path):
    # given
    (home := tmp_path / "theirs").mkdir(mode=0)
    environment = users_environment() | {"MARVEL_HOME": str(home)}

    # when
    command = [*UNPRIVILEGED, *MARVEL, "summary"]
    done = subprocess.run(command, cwd=PROJECT_ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False)

    # then
    assert done.returncode != 0
    assert f"{home} can't be read: user " in done.stderr.splitlines()[-1]
