"""CSV and Parquet files as Arrow batches of text. A file that changes while it is read is an error."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import re
import zlib
from contextlib import contextmanager
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, NamedTuple

from marvel_assets.sources.base import NoRowsError, SourceError, check_columns, expected, number_rows
from marvel_assets.sources.parquet import parquet_batches, parquet_names
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    import pyarrow as pa


BLOCK_BYTES = 16 << 20
"""How much of a CSV file is parsed at once; a row must fit into it. Arrow reads 32 of them ahead."""

HEAD_BYTES = 1 << 20
"""How much of a file is inspected at once before it is parsed; the first piece must hold the names of the columns."""

DELIMITERS = ",;\t|"
PARQUET_MARK = b"PAR1"
GZIP_MARK = b"\x1f\x8b"
REFUSED_MARKS = {
    b"\xff\xfe": "the file is UTF-16; save it as UTF-8",
    b"\xfe\xff": "the file is UTF-16; save it as UTF-8",
    b"PK\x03\x04": "the file is a zip archive or a spreadsheet; unpack it, or save it as CSV",
}


class InputFile(NamedTuple):
    """A file to read.

    Attributes:
        path: where it is.
        label: its name in errors.
        sha256: the expected one; None accepts any content.
    """

    path: Path
    label: str
    sha256: str | None = None


class Dialect(NamedTuple):
    """How a CSV file is written: its delimiter, and whether quotes are escaped by backslashes or doubled."""

    header: list[str]
    delimiter: str
    has_backslashes: bool


@contextmanager
def open_source(path: Path, label: str) -> Iterator[BufferedReader]:
    """The file's bytes.

    Raises:
        SourceError: it can't be opened, read or unpacked.
    """
    try:
        content = path.open("rb")
    except OSError as error:
        raise SourceError(f"{label}: the file can't be opened: {error.strerror}.") from error
    with content:
        try:
            yield content
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise SourceError(f"{label}: the file can't be read: {reason}.") from error


def hashed(path: Path, label: str) -> InputFile:
    """The file with the SHA-256 of what it holds now.

    Raises:
        SourceError: it can't be read.
    """
    with open_source(path, label) as content:
        return InputFile(path, label, _sha256(content))


def names_and_encoding(path: Path, label: str) -> tuple[list[str], str]:
    """The names of a file's columns, and its encoding: UTF-8, or cp1252 for a CSV file that isn't.

    Raises:
        SourceError: it can't be read, or is neither CSV nor Parquet.
    """
    with open_source(path, label) as packed:
        content, head = _begin(packed, label, [])
        if head.startswith(PARQUET_MARK):
            return parquet_names(packed, label), "utf-8"
        encoding = "utf-8"
        try:
            for _ in codecs.iterdecode(iter(partial(content.read, HEAD_BYTES), b""), encoding):
                pass
        except UnicodeDecodeError:
            encoding = "cp1252"
        return _header_of(head, label, [], encoding)[0], encoding


def read_files(
    files: Iterable[InputFile], columns: Mapping[str, str], encoding: str = "utf-8"
) -> Iterator[pa.RecordBatch]:
    """Read the source's columns as text, in the order of the files and of their rows.

    Each batch holds ``source_row`` (int64, from 1, continued over all files) and the columns under their stored names.
    Cells are as delivered; other columns are left out. Files without rows, which Spark may write, add none.

    Args:
        files: CSV or Parquet files.
        columns: their columns, and the names that these are stored by.
        encoding: of CSV files, as Python names it.

    Raises:
        SourceError: no file has rows, or one is neither CSV nor Parquet, is in another encoding, lacks a column, or
            no longer has the expected content. Raised before the file's first batch, at a batch, or after the last.
    """
    return number_rows(_batches_of_all(files, list(columns), encoding), columns)


def _batches_of_all(files: Iterable[InputFile], columns: list[str], encoding: str) -> Iterator[pa.RecordBatch]:
    rows, empty = 0, None
    for file in files:
        try:
            for batch in _batches_of(file, columns, encoding):
                rows += batch.num_rows
                yield batch
        except NoRowsError as error:
            empty = error
    if rows == 0 and empty is not None:
        raise empty


def _batches_of(file: InputFile, columns: list[str], encoding: str) -> Iterator[pa.RecordBatch]:
    label, rows = file.label, 0
    with _verified(file) as packed:
        content, head = _begin(packed, label, columns)
        if head.startswith(PARQUET_MARK):
            batches = parquet_batches(packed, columns, label)
        else:
            batches = _csv_batches(content, head, label, columns, encoding)
        for batch in batches:
            rows += batch.num_rows
            yield batch
        if rows == 0:
            raise NoRowsError(f"{label}: the file has columns and no rows.")


@contextmanager
def _verified(file: InputFile) -> Iterator[BufferedReader]:
    """The file's bytes, whose hash is checked again at the end.

    Raises:
        SourceError: the file was changed. It replaces the errors that a half-written file leads to.
    """
    with open_source(file.path, file.label) as content:
        problem: Exception | None = None
        try:
            yield content
        except (SourceError, OSError, EOFError, zlib.error) as error:
            problem = error
        if file.sha256 is not None and _sha256(content) != file.sha256:
            raise SourceError(
                f"{file.label}: the file was changed while it was read, so nothing of it is kept. Run again when it is "
                "complete; write new files under another name and rename them at the end."
            ) from problem
        if problem is not None:
            raise problem


def _begin(packed: BufferedReader, label: str, columns: list[str]) -> tuple[BufferedReader | gzip.GzipFile, bytes]:
    """The file's bytes, unpacked if it is a gzip file, and the first of them.

    Raises:
        SourceError: it is empty, or neither CSV nor Parquet.
    """
    is_packed = packed.read(len(GZIP_MARK)) == GZIP_MARK
    packed.seek(0)
    content = gzip.GzipFile(fileobj=packed) if is_packed else packed
    head = content.read(HEAD_BYTES)
    content.seek(0)
    if not head:
        raise NoRowsError(f"{label}: the file is empty; expected CSV or Parquet with {expected(columns)}.")
    for mark, problem in REFUSED_MARKS.items():
        if head.startswith(mark):
            raise SourceError(f"{label}: {problem}. Expected CSV or Parquet.")
    return content, head


def _sha256(content: BufferedReader) -> str:
    content.seek(0)
    return hashlib.file_digest(content, "sha256").hexdigest()


def _csv_batches(
    content: BufferedReader | gzip.GzipFile, head: bytes, label: str, columns: list[str], encoding: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header, delimiter = _header_of(head, label, columns, encoding)
    check_columns(header, columns, label)
    dialect = Dialect(header, delimiter, _has_backslashes(content, delimiter, encoding))
    try:
        yield from arrow_csv.open_csv(
            content,
            # In one thread, which is as fast here, Arrow knows the number of the row at fault.
            read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, encoding=encoding),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect.delimiter,
                escape_char="\\" if dialect.has_backslashes else False,
                newlines_in_values=True,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{label}: the file holds bytes that are not {encoding}: {error.reason}. Correct `encoding` of the data "
            "set, or save the file as UTF-8."
        ) from error
    except pa.ArrowException as error:
        if "Empty CSV file" in str(error):
            return
        raise SourceError(f"{label}: {_explain(str(error), dialect)}") from error


def _header_of(head: bytes, label: str, columns: list[str], encoding: str) -> tuple[list[str], str]:
    """The first line's cells, and the delimiter under which it has most of these columns, else most cells."""
    # What follows the names is left to Arrow, which reports the column that isn't in this encoding.
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    begin = head.decode("utf-8-sig" if is_utf8 else encoding, errors="replace").lstrip("\r\n")
    try:
        headers = {
            delimiter: next(csv.reader(io.StringIO(begin, newline=""), delimiter=delimiter), [])
            for delimiter in DELIMITERS
        }
    except csv.Error as error:
        problem = f"the first line is not CSV in {encoding.upper()}; expected {expected(columns)}"
        raise SourceError(f"{label}: {problem}.") from error
    delimiter = max(headers, key=lambda each: (len(set(columns) & set(headers[each])), len(headers[each])))
    return headers[delimiter], delimiter


def _has_backslashes(content: BufferedReader | gzip.GzipFile, delimiter: str, encoding: str) -> bool:
    """Whether backslashes escape quotes, anywhere in the file.

    A closing quote is followed by a delimiter or the line's end, and a doubled one by a quote: a backslash and a quote
    before anything else mean that backslashes escape.
    """
    escape = re.compile(rf'\\"[^"\r\n{re.escape(delimiter)}]')
    pieces = codecs.iterdecode(iter(partial(content.read, HEAD_BYTES), b""), encoding, errors="replace")
    found = any(escape.search(before[-2:] + piece) for before, piece in pairwise(chain([""], pieces)))
    content.seek(0)
    return found


def _explain(problem: str, dialect: Dialect) -> str:
    """Arrow's message with the name of the column instead of its number; Arrow counts the header as row 1."""
    invalid_utf8 = re.search(r"In CSV column #(\d+): (?:Row #(\d+): )?.*invalid UTF8", problem)
    if invalid_utf8:
        row = f" in row {invalid_utf8[2]} (the header is the first)" if invalid_utf8[2] else ""
        column = dialect.header[int(invalid_utf8[1])]
        return f"column {column!r} holds text that isn't UTF-8{row}; save the file as UTF-8."
    if "straddle" in problem:
        return (
            f"a row is longer than {BLOCK_BYTES >> 20} MB, perhaps since a quotation mark is never closed; correct "
            "that row."
        )
    quotes = "escaped by backslashes" if dialect.has_backslashes else "doubled within cells"
    return (
        f"the file can't be read as CSV with {dialect.delimiter!r} between cells and quotes {quotes}: "
        f"{escape_control(problem)} (the header is the first row)"
    )
