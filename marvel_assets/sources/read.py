"""CSV and Parquet files, one or several, as Arrow batches of text, checked against the data contract."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

from marvel_assets.sources.errors import SourceError
from marvel_assets.survival.schema import SOURCE_COLUMNS, SOURCE_ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

BLOCK_BYTES = 32 << 20
"""How much of a CSV file is parsed at once; a row must fit into it."""

_PARQUET_MAGIC = b"PAR1"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_batches(path: Path, label: str) -> Iterator[pa.RecordBatch]:
    """Read one file; see ``read_files``."""
    return read_files([(path, label)])


def read_files(files: Iterable[tuple[Path, str]]) -> Iterator[pa.RecordBatch]:
    """Read the source's columns as text, in the order of the files and of their rows.

    Each batch holds ``source_row`` (int64, from 1 and on through all files) and the columns of the data contract
    under the names that the table stores them by. Cells are as delivered; other columns are left out.

    Args:
        files: each with the label that its errors begin with.

    Raises:
        SourceError: a file is empty, is neither CSV nor Parquet, isn't UTF-8, or lacks a column. Raised before
            the file's first batch where its head shows it, else at the batch that does.
    """
    return numbered(batch for path, label in files for batch in _file_batches(path, label))


def numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put ``source_row`` before the columns, which come in the contract's order, and name them as they are stored."""
    import pyarrow as pa

    rows = 0
    for batch in batches:
        places = pa.array(range(rows + 1, rows + 1 + batch.num_rows), pa.int64())
        rows += batch.num_rows
        yield pa.RecordBatch.from_arrays([places, *batch.columns], names=[SOURCE_ROW, *SOURCE_COLUMNS.values()])


def as_texts(batch: pa.RecordBatch, columns: Iterable[str], label: str) -> pa.RecordBatch:
    """The columns of those names as text.

    Raises:
        SourceError: naming the column whose cells are no texts, numbers or times.
    """
    import pyarrow as pa
    from pyarrow import compute

    texts = {}
    for column in columns:
        try:
            texts[column] = compute.cast(batch.column(column), pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(f"{label}: column {column!r} can't be read as text: {error}") from error
    return pa.RecordBatch.from_pydict(texts)


def check_columns(found: list[str], label: str) -> None:
    """Check that each column of the contract is there once.

    Raises:
        SourceError: naming the columns that are missing or repeated.
    """
    missing = [column for column in SOURCE_COLUMNS if column not in found]
    if missing:
        raise SourceError(
            f"{label}: {_named(missing)} missing; expected {_expected()}; "
            f"found {', '.join(repr(name[:40]) for name in found[:20]) or 'none'}."
        )
    repeated = [column for column in SOURCE_COLUMNS if found.count(column) > 1]
    if repeated:
        raise SourceError(f"{label}: {_named(repeated)} there more than once; keep one.")


def _file_batches(path: Path, label: str) -> Iterator[pa.RecordBatch]:
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise SourceError(f"{label}: the file can't be opened: {error.strerror}.") from error
    if not head:
        raise SourceError(f"{label}: the file is empty; expected CSV or Parquet with {_expected()}.")
    if head.startswith(_UTF16_MARKS):
        raise SourceError(f"{label}: the file is UTF-16; save it as UTF-8.")
    rows = 0
    for batch in _parquet_batches(path, label) if head == _PARQUET_MAGIC else _csv_batches(path, label):
        rows += batch.num_rows
        yield batch
    if rows == 0:
        raise SourceError(f"{label}: the file has columns and no rows.")


def _csv_batches(path: Path, label: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    check_columns(_csv_header(path, label), label)
    try:
        reader = arrow_csv.open_csv(
            path,
            read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(SOURCE_COLUMNS),
                column_types=dict.fromkeys(SOURCE_COLUMNS, pa.string()),
                strings_can_be_null=False,
            ),
        )
        yield from reader
    except pa.ArrowInvalid as error:
        raise SourceError(f"{label}: {_explain(str(error), path, label)}") from error


def _csv_header(path: Path, label: str) -> list[str]:
    try:
        # What follows the names is left to Arrow, which tells the column that isn't UTF-8.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            names = next(csv.reader(file), [])
        ",".join(names).encode()
    except (UnicodeEncodeError, csv.Error) as error:
        raise SourceError(f"{label}: the first line is no CSV in UTF-8; expected {_expected()}.") from error
    return names


def _parquet_batches(path: Path, label: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(path)
        check_columns(file.schema_arrow.names, label)
        for batch in file.iter_batches(columns=list(SOURCE_COLUMNS)):
            yield as_texts(batch, SOURCE_COLUMNS, label)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{label}: the file begins as Parquet and can't be read as such: {error}") from error


def _named(columns: list[str]) -> str:
    names = ", ".join(repr(column) for column in columns)
    return f"column {names} is" if len(columns) == 1 else f"columns {names} are"


def _expected() -> str:
    return "the columns " + ", ".join(SOURCE_COLUMNS)


def _explain(arrow_says: str, path: Path, label: str) -> str:
    """Arrow counts columns where a person wants their names."""
    invalid_utf8 = re.search(r"In CSV column #(\d+): .*invalid UTF8", arrow_says)
    if invalid_utf8:
        column = _csv_header(path, label)[int(invalid_utf8[1])]
        return f"column {column!r} holds text that isn't UTF-8; save the file as UTF-8."
    if "Empty CSV file" in arrow_says:
        return "the file has columns and no rows."
    return f"the file can't be read as CSV: {arrow_says}"
