"""Files that others write to while they are read: what was hashed is what was read, or nothing is kept."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.base import Source, SourceError
from marvel_assets.sources.locate import locate
from marvel_assets_tests.commands import TABLES
from marvel_assets_tests.faults.deliveries import ROWS, as_csv
from marvel_assets_tests.graph import failure_of, run_graph


def append(file: Path) -> None:
    with file.open("ab") as content:
        content.write(as_csv(ROWS[:5].assign(PageID="later")).partition(b"\n")[2])


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
    other.write_bytes(as_csv(ROWS.assign(Alive="Dead")))
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
    pd.concat([ROWS.assign(Teams="x" * 10_000)] * 2).to_csv(file, index=False)
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
    many = pd.concat([ROWS.assign(Teams="x" * 10_000)] * 2)
    many.to_csv(file, index=False)
    batches = source_at(file).batches()
    first = next(batches)

    # when
    replace(file)

    # then
    rows = first.num_rows + sum(batch.num_rows for batch in batches)
    assert rows == len(many)


@pytest.fixture
def second_opening() -> Iterator[Callable[[Path, Callable[[Path], None]], None]]:
    """Changes a file when it is opened for the second time: then it was hashed, and not yet read."""
    watched: dict[str, tuple[list[str], Callable[[Path], None]]] = {}

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and watched and str(arguments[0]) in watched:
            seen, change = watched[str(arguments[0])]
            seen.append("opened")
            if len(seen) == 2:
                change(Path(str(arguments[0])))

    sys.addaudithook(watch)
    yield lambda file, change: watched.update({str(file): ([], change)})
    watched.clear()


def test_a_run_over_a_file_that_changes_fails_before_anything_is_committed(
    home: ProjectPaths,
    tmp_path: Path,
    second_opening: Callable[[Path, Callable[[Path], None]], None],
):
    # given
    file = tmp_path / "characters.csv"
    ROWS.to_csv(file, index=False)
    second_opening(file, append)

    # when
    result = run_graph(home, file)

    # then
    assert "characters.csv: the file was changed while it was read" in failure_of(result)
    kept = [name for name in TABLES if list(home.warehouse.rglob(name))]
    assert kept == []
