"""CSV and Parquet files as Arrow batches of text. A file that changes while it is read is an error."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.sources.base import Source, SourceError, cast_to_strings, check_columns
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from io import BufferedReader

    import pyarrow as pa

BLOCK_BYTES = 16 << 20
"""How much of a CSV file is parsed at once; a row must fit into it. Arrow reads 32 of them ahead."""

HEAD_BYTES = 1 << 17
"""How much of a file is inspected at once before it is parsed; the first piece must hold the names of the columns."""

DELIMITERS = ",;\t|"
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
REFUSED_MAGIC = (b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04")  # UTF-16; zip archives, which spreadsheets are


@dataclass(frozen=True)
class FileSource(Source):
    """CSV or Parquet files on this machine, read one after another. Files without rows, as Spark writes, add none.

    Attributes:
        files: in order, with their names in errors; files that are added to a folder later are ignored.
        encoding: of CSV files.
        skipped: the names of the folder's other files.
    """

    label: str
    files: Mapping[Path, str]
    columns: Mapping[str, str]
    encoding: str = "utf-8"
    skipped: str = ""

    @cached_property
    def digest(self) -> str:
        """Of the files' contents, in their order."""
        return "files:" + hashlib.sha256(json.dumps(list(self._hashes.values())).encode()).hexdigest()

    def texts(self) -> Iterator[pa.RecordBatch]:
        """Of all files; an error before, between or after the batches if a file no longer has the hashed content."""
        columns = list(self.columns)
        for path, label in self.files.items():
            with _opened(path, label, self._hashes[path]) as packed:
                content, head = _read_head(packed, label)
                if head.startswith(PARQUET_MAGIC):
                    yield from _parquet_batches(packed, columns, label)
                elif head:
                    yield from _csv_batches(content, head, columns, self.encoding, label)

    def states(self) -> list[tuple[object, ...]]:
        """What changes when a file changes, without reading it."""
        files = [(path.name, path.stat()) for path in self.files]
        return [(name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in files]

    @cached_property
    def _hashes(self) -> dict[Path, str]:
        hashes = {}
        for path, label in self.files.items():
            with _opened(path, label) as content:
                hashes[path] = _sha256(content)
        return hashes


def names_and_encoding(path: Path, label: str) -> tuple[list[str], str]:
    """The names of a file's columns, and its encoding: UTF-8, or cp1252 for a CSV file that isn't."""
    from pyarrow import parquet

    with _opened(path, label) as packed:
        content, head = _read_head(packed, label)
        if head.startswith(PARQUET_MAGIC):
            return parquet.ParquetFile(packed).schema_arrow.names, "utf-8"
        try:
            content.read().decode()
            encoding = "utf-8"
        except UnicodeDecodeError:
            encoding = "cp1252"
        return _sniff(head, [], encoding)[0], encoding


@contextmanager
def _opened(path: Path, label: str, sha256: str | None = None) -> Iterator[BufferedReader]:
    """The file's bytes; a SourceError if they can't be read or unpacked, or in the end have another hash."""
    import pyarrow as pa

    try:
        with path.open("rb") as content:
            try:
                yield content
            finally:
                if sha256 is not None and _sha256(content) != sha256:  # which explains any other error
                    raise SourceError(
                        f"{label}: the file was changed while it was read, so nothing of it is kept. Run again when it "
                        "is complete; write new files under another name and rename them at the end."
                    )
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        reason = escape_control(getattr(error, "strerror", None) or str(error))
        raise SourceError(f"{label}: the file can't be read: {reason.rstrip('.')}.") from error


def _sha256(content: BufferedReader) -> str:
    content.seek(0)
    return hashlib.file_digest(content, "sha256").hexdigest()


def _read_head(packed: BufferedReader, label: str) -> tuple[BufferedReader | gzip.GzipFile, bytes]:
    """The file's bytes, unpacked if it is a gzip file, and the first of them."""
    content = gzip.GzipFile(fileobj=packed) if packed.peek(2).startswith(GZIP_MAGIC) else packed
    head = content.read(HEAD_BYTES)
    content.seek(0)
    if head.startswith(REFUSED_MAGIC):
        raise SourceError(f"{label}: the file is UTF-16, a zip archive or a spreadsheet; save it as CSV in UTF-8.")
    return content, head


def _parquet_batches(packed: BufferedReader, columns: list[str], label: str) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    table = parquet.ParquetFile(packed)
    check_columns(table.schema_arrow.names, columns, label)
    for batch in table.iter_batches(columns=columns, use_threads=False):
        yield cast_to_strings(batch, columns, label)


def _csv_batches(
    content: BufferedReader | gzip.GzipFile, head: bytes, columns: list[str], encoding: str, label: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header, delimiter = _sniff(head, columns, encoding)
    check_columns(header, columns, label)
    escape = "\\" if _has_backslashes(content, delimiter) else False
    types = dict.fromkeys(columns, pa.string())
    try:
        yield from arrow_csv.open_csv(
            content,
            # In one thread, which is as fast here, Arrow knows the number of the row at fault.
            arrow_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, encoding=encoding),
            arrow_csv.ParseOptions(delimiter=delimiter, escape_char=escape, newlines_in_values=True),
            arrow_csv.ConvertOptions(include_columns=columns, column_types=types, strings_can_be_null=False),
        )
    except (UnicodeDecodeError, pa.ArrowException) as error:
        problem = escape_control(str(error))
        if invalid := re.search(r"In CSV column #(\d+): Row #(\d+): .*invalid UTF8", problem):
            column = header[int(invalid[1])]
            problem = f"column {column!r} holds text that isn't UTF-8 in row {invalid[2]}; save the file as UTF-8"
        elif isinstance(error, UnicodeDecodeError):
            problem = f"it has bytes that are not {encoding}; save it as UTF-8, or correct `encoding` of the data set"
        elif "straddle" in problem:
            problem = f"a row is longer than {BLOCK_BYTES >> 20} MB; is a quotation mark never closed? Correct that row"
        raise SourceError(f"{label}: {problem} (separated by {delimiter!r}; the header is row 1).") from error


def _sniff(head: bytes, columns: list[str], encoding: str) -> tuple[list[str], str]:
    """The first line's cells, and the delimiter under which it has most of these columns, else most cells."""
    # What follows the names is left to Arrow, which reports the column that isn't in this encoding.
    text = head.decode(encoding, errors="replace").lstrip("\ufeff\r\n")
    headers = {each: next(csv.reader(io.StringIO(text, newline=""), delimiter=each), []) for each in DELIMITERS}
    delimiter = max(headers, key=lambda each: (len(set(columns) & set(headers[each])), len(headers[each])))
    return headers[delimiter], delimiter


def _has_backslashes(content: BufferedReader | gzip.GzipFile, delimiter: str) -> bool:
    """Whether backslashes escape quotes, anywhere in the file. Looking costs a twelfth of what reading does.

    A closing quote is followed by a delimiter or the line's end, and a doubled one by a quote: a backslash and a quote
    before anything else mean that backslashes escape.
    """
    escape = re.compile(rf'\\"[^"\r\n{re.escape(delimiter)}]'.encode())
    pieces = iter(lambda: content.read(HEAD_BYTES) + content.readline(BLOCK_BYTES), b"")  # each ends with a line
    found = any(escape.search(piece) for piece in pieces)
    content.seek(0)
    return found
