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

from marvel_assets.sources.base import SourceError, cast_to_strings, check_columns, expected, number_rows
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from io import BufferedReader
    from pathlib import Path

    import pyarrow as pa
    from pyarrow import csv as arrow_csv

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
    """A file to read, its name in errors, and the expected SHA-256; None accepts any content."""

    path: Path
    label: str
    sha256: str | None = None


def hashed(path: Path, label: str) -> InputFile:
    """The file with the SHA-256 of what it holds now."""
    with _opened(InputFile(path, label)) as content:
        return InputFile(path, label, _sha256(content))


def names_and_encoding(path: Path, label: str) -> tuple[list[str], str]:
    """The names of a file's columns, and its encoding: UTF-8, or cp1252 for a CSV file that isn't."""
    from pyarrow import parquet

    with _opened(InputFile(path, label)) as packed:
        content, head = _begin(packed, label)
        if head.startswith(PARQUET_MARK):
            return parquet.ParquetFile(packed).schema_arrow.names, "utf-8"
        encoding = "utf-8"
        try:
            for _ in codecs.iterdecode(_pieces(content), encoding):
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
    from pyarrow import parquet

    rows = 0
    for file in files:
        with _opened(file) as packed:
            content, head = _begin(packed, file.label)
            batches: Iterable[pa.RecordBatch] = ()
            if head.startswith(PARQUET_MARK):
                table = parquet.ParquetFile(packed)
                check_columns(table.schema_arrow.names, columns, file.label)
                typed = table.iter_batches(columns=columns, use_threads=False)
                batches = (cast_to_strings(batch, columns, file.label) for batch in typed)
            elif head:
                batches = _csv_batches(content, head, columns, encoding, file.label)
            for batch in batches:
                rows += batch.num_rows
                yield batch
    if rows == 0:
        raise SourceError(f"{file.label}: the file has no rows; expected CSV or Parquet with {expected(columns)}.")


@contextmanager
def _opened(file: InputFile) -> Iterator[BufferedReader]:
    """The file's bytes, whose hash is checked at the end.

    Raises:
        SourceError: the file can't be opened, read or unpacked, or was changed, which explains whatever went wrong.
    """
    import pyarrow as pa

    problem: Exception | None = None
    try:
        with file.path.open("rb") as content:
            try:
                yield content
            except (SourceError, OSError, EOFError, zlib.error, pa.ArrowException) as error:
                problem = error
            if file.sha256 is not None and _sha256(content) != file.sha256:
                raise SourceError(
                    f"{file.label}: the file was changed while it was read, so nothing of it is kept. Run again when "
                    "it is complete; write new files under another name and rename them at the end."
                ) from problem
            if problem is not None:
                raise problem
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        reason = escape_control(getattr(error, "strerror", None) or str(error))
        raise SourceError(f"{file.label}: the file can't be read: {reason.rstrip('.')}.") from error


def _sha256(content: BufferedReader) -> str:
    content.seek(0)
    return hashlib.file_digest(content, "sha256").hexdigest()


def _begin(packed: BufferedReader, label: str) -> tuple[BufferedReader | gzip.GzipFile, bytes]:
    """The file's bytes, unpacked if it is a gzip file, and the first of them."""
    content = gzip.GzipFile(fileobj=packed) if packed.peek(2).startswith(GZIP_MARK) else packed
    head = content.read(HEAD_BYTES)
    content.seek(0)
    for mark, problem in REFUSED_MARKS.items():
        if head.startswith(mark):
            raise SourceError(f"{label}: {problem}. Expected CSV or Parquet.")
    return content, head


def _pieces(content: BufferedReader | gzip.GzipFile) -> Iterator[bytes]:
    return iter(partial(content.read, HEAD_BYTES), b"")


def _csv_batches(
    content: BufferedReader | gzip.GzipFile, head: bytes, columns: list[str], encoding: str, label: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header, delimiter = _header_of(head, label, columns, encoding)
    check_columns(header, columns, label)
    escape = "\\" if _has_backslashes(content, delimiter) else False
    dialect = arrow_csv.ParseOptions(delimiter=delimiter, escape_char=escape, newlines_in_values=True)
    types = dict.fromkeys(columns, pa.string())
    try:
        yield from arrow_csv.open_csv(
            content,
            # In one thread, which is as fast here, Arrow knows the number of the row at fault.
            arrow_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, encoding=encoding),
            dialect,
            arrow_csv.ConvertOptions(include_columns=columns, column_types=types, strings_can_be_null=False),
        )
    except UnicodeDecodeError as error:
        advice = "Correct `encoding` of the data set, or save the file as UTF-8."
        raise SourceError(f"{label}: the file holds bytes that are not {encoding}: {error.reason}. {advice}") from error
    except pa.ArrowException as error:
        raise SourceError(f"{label}: {_explain(str(error), header, dialect)}") from error


def _header_of(head: bytes, label: str, columns: list[str], encoding: str) -> tuple[list[str], str]:
    """The first line's cells, and the delimiter under which it has most of these columns, else most cells."""
    # What follows the names is left to Arrow, which reports the column that isn't in this encoding.
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    begin = head.decode("utf-8-sig" if is_utf8 else encoding, errors="replace").lstrip("\r\n")
    try:
        headers = {sign: next(csv.reader(io.StringIO(begin, newline=""), delimiter=sign), []) for sign in DELIMITERS}
    except csv.Error as error:
        problem = f"the first line is not CSV in {encoding.upper()}; expected {expected(columns)}"
        raise SourceError(f"{label}: {problem}.") from error
    delimiter = max(headers, key=lambda sign: (len(set(columns) & set(headers[sign])), len(headers[sign])))
    return headers[delimiter], delimiter


def _has_backslashes(content: BufferedReader | gzip.GzipFile, delimiter: str) -> bool:
    """Whether backslashes escape quotes, anywhere in the file. Looking costs a twelfth of what reading does.

    A closing quote is followed by a delimiter or the line's end, and a doubled one by a quote: a backslash and a quote
    before anything else mean that backslashes escape.
    """
    escape = re.compile(rf'\\"[^"\r\n{re.escape(delimiter)}]'.encode())
    found = any(escape.search(before[-2:] + piece) for before, piece in pairwise(chain([b""], _pieces(content))))
    content.seek(0)
    return found


def _explain(problem: str, header: list[str], dialect: arrow_csv.ParseOptions) -> str:
    """Arrow's message with the name of the column instead of its number; Arrow counts the header as row 1."""
    if invalid_utf8 := re.search(r"In CSV column #(\d+): (?:Row #(\d+): )?.*invalid UTF8", problem):
        row = f" in row {invalid_utf8[2]} (the header is the first)" if invalid_utf8[2] else ""
        return f"column {header[int(invalid_utf8[1])]!r} holds text that isn't UTF-8{row}; save the file as UTF-8."
    if "straddle" in problem:
        return f"a row is longer than {BLOCK_BYTES >> 20} MB; is a quotation mark never closed? Correct that row."
    quotes = "escaped by backslashes" if dialect.escape_char else "doubled within cells"
    return (
        f"the file can't be read as CSV with {dialect.delimiter!r} between cells and quotes {quotes}: "
        f"{escape_control(problem)} (the header is the first row)"
    )
