"""CSV and Parquet files, one or several, as Arrow batches of text, checked against the data contract."""

from __future__ import annotations

import csv
import io
import os
import re
from typing import TYPE_CHECKING

from marvel_assets.datasets.marvel_kaggle.columns import SOURCE_COLUMNS, SOURCE_ROW
from marvel_assets.sources.errors import NoRowsError, SourceError
from marvel_assets.sources.files import Delivery, unchanged
from marvel_assets.sources.texts import BYTES_A_CELL, PIECE_BYTES, Allowance, as_texts, check_types
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import BufferedReader
    from pathlib import Path

    import pyarrow as pa
    from pyarrow.parquet import ColumnChunkMetaData, FileMetaData, ParquetFile, RowGroupMetaData

BLOCK_BYTES = 16 << 20
"""How much of a CSV file is parsed at once; a row must fit into it. Arrow reads 32 of them ahead."""

ROWS_AT_ONCE = 65_536
"""How many rows of Parquet are read at once; fewer where they are long."""

BATCH_BYTES = 1 << 30
"""What a batch of Parquet may take where a cell can be as long as its whole column: each may repeat the one before."""

SEPARATORS = ",;\t|"
PLAIN_ENCODINGS = frozenset({"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"})
"""The encodings of Parquet that Arrow can read as dictionaries."""

HEAD_BYTES = 1 << 20
"""How much of a file is looked at before it is parsed; the names of the columns must stand in it."""

_PARQUET_MAGIC = b"PAR1"
_WIDE_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_PACKED_MARKS = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
}


def read_batches(path: Path, label: str) -> Iterator[pa.RecordBatch]:
    """Read one file; see ``read_files``."""
    return read_files([Delivery(path, label)])


def read_files(files: Iterable[Delivery]) -> Iterator[pa.RecordBatch]:
    """Read the source's columns as text, in the order of the files and of their rows.

    Each batch holds ``source_row`` (int64, from 1 and on through all files) and the columns of the data contract
    under the names that the table stores them by. Cells are as delivered; other columns are left out. Files without
    rows, as Spark writes among others, add none.

    Args:
        files: what to read, in order.

    Raises:
        SourceError: no file has rows, or one is neither CSV nor Parquet, isn't UTF-8, lacks a column, is packed beyond
            measure, or is not (or no longer) the one that is meant. Raised before the file's first batch where its
            head shows it, else at the batch that does, or after the last one.
    """
    return numbered(_batches_of_all(files))


def _batches_of_all(files: Iterable[Delivery]) -> Iterator[pa.RecordBatch]:
    rows, empty = 0, None
    for delivery in files:
        try:
            for batch in _file_batches(delivery):
                rows += batch.num_rows
                yield batch
        except NoRowsError as error:
            empty = error
    if rows == 0 and empty is not None:
        raise empty


def numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Put ``source_row`` before the columns, which come in the contract's order, and name them as they are stored."""
    import pyarrow as pa

    rows = 0
    for batch in batches:
        places = pa.array(range(rows + 1, rows + 1 + batch.num_rows), pa.int64())
        rows += batch.num_rows
        yield pa.RecordBatch.from_arrays([places, *batch.columns], names=[SOURCE_ROW, *SOURCE_COLUMNS.values()])


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


def _file_batches(delivery: Delivery) -> Iterator[pa.RecordBatch]:
    label = delivery.label
    rows = 0
    with unchanged(delivery) as content:
        head = content.read(HEAD_BYTES)
        content.seek(0)
        if not head:
            raise NoRowsError(f"{label}: the file is empty; expected CSV or Parquet with {_expected()}.")
        _refuse_by_its_mark(head, label)
        is_parquet = head.startswith(_PARQUET_MAGIC)
        for batch in _parquet_batches(content, label) if is_parquet else _csv_batches(content, head, label):
            rows += batch.num_rows
            yield batch
        if rows == 0:
            raise NoRowsError(f"{label}: the file has columns and no rows.")


def _refuse_by_its_mark(head: bytes, label: str) -> None:
    for mark, encoding in _WIDE_MARKS.items():
        if head.startswith(mark):
            raise SourceError(f"{label}: the file is {encoding}; save it as UTF-8.")
    for mark, packer in _PACKED_MARKS.items():
        if head.startswith(mark):
            raise SourceError(
                f"{label}: the file is packed ({packer}), and packed files are not read: what comes out has no bounds. "
                f"Unpack it; expected CSV or Parquet with {_expected()}."
            )


def _csv_batches(content: BufferedReader, head: bytes, label: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header, separator = _csv_header(head, label)
    check_columns(header, label)
    try:
        yield from arrow_csv.open_csv(
            content,
            # In one thread, which is as fast here, Arrow knows the number of the row at fault.
            read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(SOURCE_COLUMNS),
                column_types=dict.fromkeys(SOURCE_COLUMNS, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowException as error:
        if "Empty CSV file" in str(error):
            return
        raise SourceError(f"{label}: {_explain(str(error), header)}") from error


def _csv_header(head: bytes, label: str) -> tuple[list[str], str]:
    """The names of the columns, and the separator under which they are the contract's; the comma where none is."""
    # What follows the names is left to Arrow, which tells the column that isn't UTF-8.
    begin = head.decode("utf-8-sig", errors="surrogateescape")
    headers = {}
    try:
        for separator in SEPARATORS:
            headers[separator] = next(csv.reader(io.StringIO(begin, newline=""), delimiter=separator), [])
        ",".join(headers[","]).encode()
    except (UnicodeEncodeError, csv.Error) as error:
        raise SourceError(f"{label}: the first line is not CSV in UTF-8; expected {_expected()}.") from error
    separator = next((found for found, names in headers.items() if set(SOURCE_COLUMNS) <= set(names)), ",")
    return headers[separator], separator


def _parquet_batches(content: BufferedReader, label: str) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import parquet

    columns = list(SOURCE_COLUMNS)
    allowance = Allowance(os.fstat(content.fileno()).st_size, label)
    try:
        said = parquet.ParquetFile(content)
        check_columns(said.schema_arrow.names, label)
        check_types(said.schema_arrow, columns, label)
        # Cells that repeat are kept once, where Arrow can do so, until they are unpacked piece by piece.
        repeated = sorted(set(columns) - _columns_encoded_otherwise(said.metadata))
        file = parquet.ParquetFile(content, metadata=said.metadata, read_dictionary=repeated)
        for batch in file.iter_batches(_rows_at_once(file, allowance), columns=columns, use_threads=False):
            yield from as_texts(batch, columns, label, allowance)
    except (pa.ArrowException, OSError) as error:
        told = escape_control(str(error))
        raise SourceError(f"{label}: the file begins as Parquet and can't be read as such: {told}") from error


def _rows_at_once(file: ParquetFile, allowance: Allowance) -> int:
    """As many as a piece of text is likely to hold, by what the file says of itself."""
    metadata = file.metadata
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    sizes = [_bytes_of_columns(group) for group in groups]
    allowance.check(max(sum(sizes), metadata.num_rows * len(SOURCE_COLUMNS) * BYTES_A_CELL))
    widest = max((size // max(group.num_rows, 1) for size, group in zip(sizes, groups, strict=True)), default=0)
    prefixed = max(map(_bytes_of_prefixes, groups), default=0)
    return max(min(ROWS_AT_ONCE, PIECE_BYTES // max(widest, 1), BATCH_BYTES // max(prefixed, 1)), 1)


def _bytes_of_columns(group: RowGroupMetaData) -> int:
    return sum(chunk.total_uncompressed_size for chunk in _chunks(group))


def _bytes_of_prefixes(group: RowGroupMetaData) -> int:
    return sum(chunk.total_uncompressed_size for chunk in _chunks(group) if "DELTA_BYTE_ARRAY" in chunk.encodings)


def _columns_encoded_otherwise(metadata: FileMetaData) -> set[str]:
    groups = (metadata.row_group(place) for place in range(metadata.num_row_groups))
    return {c.path_in_schema for group in groups for c in _chunks(group) if not PLAIN_ENCODINGS.issuperset(c.encodings)}


def _chunks(group: RowGroupMetaData) -> list[ColumnChunkMetaData]:
    """The group's part of each column of the contract."""
    chunks = (group.column(place) for place in range(group.num_columns))
    return [chunk for chunk in chunks if chunk.path_in_schema in SOURCE_COLUMNS]


def _named(columns: list[str]) -> str:
    names = ", ".join(repr(column) for column in columns)
    return f"column {names} is" if len(columns) == 1 else f"columns {names} are"


def _expected() -> str:
    return "the columns " + ", ".join(SOURCE_COLUMNS)


def _explain(arrow_says: str, header: list[str]) -> str:
    """Arrow counts columns where a person wants their names; its rows begin with the header as the first."""
    invalid_utf8 = re.search(r"In CSV column #(\d+): (?:Row #(\d+): )?.*invalid UTF8", arrow_says)
    if invalid_utf8:
        row = f" in row {invalid_utf8[2]} (the header is the first)" if invalid_utf8[2] else ""
        return f"column {header[int(invalid_utf8[1])]!r} holds text that isn't UTF-8{row}; save the file as UTF-8."
    if "straddle" in arrow_says:
        return (
            f"a row is longer than {BLOCK_BYTES >> 20} MB, as is what follows a quotation mark that is never closed; "
            "mend that row."
        )
    return f"the file can't be read as CSV: {escape_control(arrow_says)} (rows are counted from the header, the first)"
