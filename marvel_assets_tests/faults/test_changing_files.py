"""Files that others write to while they are read: what was hashed is what was read, or nothing is kept."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from marvel_assets.config import Generator, ProjectConfig
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.base import Source, SourceError
from marvel_assets.sources.locate import locate
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.commands import TABLES
from marvel_assets_tests.graph import failure_of, run_graph
from marvel_assets_tests.kaggle import SOURCE_COLUMNS

ROWS = generate(1500, 11)[list(SOURCE_COLUMNS)]
LONG = ROWS.assign(Teams="x" * 10_000)
"""Longer than a batch."""


def append(file: Path) -> None:
    ROWS[:5].assign(PageID="later").to_csv(file, mode="a", header=False, index=False)


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def rewrite_unnoticed(file: Path) -> None:
    """Other characters, as many of them, and the time of change put back."""
    state = file.stat()
    content = file.read_bytes()
    with file.open("r+b") as target:
        target.write(content.replace(b"Alive", b"Dead ").replace(b"Dead \n", b"Alive\n"))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def replace(file: Path) -> None:
    other = file.with_suffix(".new")
    ROWS.assign(Alive="Dead").to_csv(other, index=False)
    other.replace(file)


def source_at(path: Path) -> Source:
    return locate(str(path), path.parent, DATASET, Generator())


@pytest.mark.parametrize("change", [append, truncate, rewrite_unnoticed, replace])
@pytest.mark.parametrize(("ending", "in_folder"), [("csv", False), ("parquet", True)])
def test_a_file_that_changes_after_it_was_hashed_is_not_read(
    tmp_path: Path, change: Callable[[Path], None], ending: str, *, in_folder: bool
):
    # given
    file = tmp_path / f"characters.{ending}"
    ROWS.to_csv(file, index=False) if ending == "csv" else ROWS.to_parquet(file, index=False)
    source = source_at(tmp_path if in_folder else file)
    assert source.digest

    # when
    change(file)

    # then
    with pytest.raises(SourceError, match=r"characters\.\w+: the file was changed while it was read, so nothing of it"):
        list(source.batches())


@pytest.mark.parametrize("change", [append, truncate])
def test_a_file_that_changes_between_two_batches_is_an_error_in_the_end(tmp_path: Path, change: Callable[[Path], None]):
    # given
    file = tmp_path / "characters.csv"
    LONG.to_csv(file, index=False)
    batches = source_at(file).batches()
    next(batches)

    # when
    change(file)

    # then
    with pytest.raises(SourceError, match=r"the file was changed while it was read"):
        list(batches)


def test_a_file_that_is_replaced_while_it_is_read_is_read_to_its_end(tmp_path: Path):
    # given: whoever reads keeps the old file open
    file = tmp_path / "characters.csv"
    LONG.to_csv(file, index=False)
    batches = source_at(file).batches()
    first = next(batches)

    # when
    replace(file)

    # then
    assert first.num_rows + sum(batch.num_rows for batch in batches) == len(LONG)


class ChangingSource(SourceResource):
    """A file that somebody appends to when it was hashed, and not yet read."""

    @contextmanager
    def located(self, setting: str | None, config: ProjectConfig) -> Iterator[Source]:
        with super().located(setting, config) as source:
            assert source.digest
            append(Path(source.label))
            yield source


def test_a_run_over_a_file_that_changes_fails_before_anything_is_committed(home: ProjectPaths, tmp_path: Path):
    # given
    file = tmp_path / "characters.csv"
    ROWS.to_csv(file, index=False)
    resources = profile_resources(home) | {"sources": ChangingSource(scratch=str(home.scratch))}

    # when
    result = run_graph(home, file, resources=resources)

    # then
    assert "characters.csv: the file was changed while it was read" in failure_of(result)
    assert [name for name in TABLES if list(home.warehouse.rglob(name))] == []
