"""CSV and Parquet files as Arrow batches of text. A file that changes while it is read is an error."""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from marvel_assets.sources.base import SourceError, cast_to_strings, check_columns, number_rows
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from io import BufferedReader
    from pathlib import Path

    import pyarrow as pa

    from marvel_assets.datasets.base import Dataset

BLOCK_BYTES = 16 << 20
"""How much of a CSV file is parsed at once; a row must fit into it. Arrow reads 32 of them ahead."""

HEAD_BYTES = 1 << 20
"""How much of a file is inspected at once before it is parsed; the first piece must hold the names of the columns."""

DELIMITERS = ",;\t|"
PARQUET_MAGIC = b"PAR1"
GZIP_MAGIC = b"\x1f\x8b"
REFUSED_MAGIC = {
    b"\xff\xfe": "the file is UTF-16; save it as UTF-8",
    b"\xfe\xff": "the file is UTF-16; save it as UTF-8",
    b"PK\x03\x04": "the file is a zip archive or a spreadsheet; unpack it, or save it as CSV",
}


class InputFile(NamedTuple):
    """A file to read, its name in errors, and the expected SHA-256; None accepts any content."""

    path: Path
    label: str
    sha256: str | None = None


@dataclass(frozen=True)
class FileSource:
    """CSV or Parquet files on this machine, read one after another.

    Attributes:
        files: in order, with their names in errors; files that are added to a folder later are ignored.
        skipped: the names of the folder's other files.
    """

    label: str
    files: Mapping[Path, str]
    dataset: Dataset
    skipped: str = ""

    @cached_property
    def digest(self) -> str:
        """Of the files' contents, in their order."""
        return "files:" + hashlib.sha256(json.dumps([file.sha256 for file in self._hashed]).encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of all files, numbered consecutively; an error at the end if they don't match the digest."""
        return read_files(self._hashed, self.dataset.source_columns, self.dataset.encoding)

    def states(self) -> list[tuple[object, ...]]:
        """What changes when a file changes, without reading it."""
        files = [(path.name, path.stat()) for path in self.files]
        return [(name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in files]

    @cached_property
    def _hashed(self) -> list[InputFile]:
        files = []
        for path, label in self.files.items():
            with _opened(InputFile(path, label)) as content:
                files.append(InputFile(path, label, _sha256(content)))
        return files


def names_and_encoding(path: Path, label: str) -> tuple[list[str], str]:
    """The names of a file's columns, and its encoding: UTF-8, or cp1252 for a CSV file that isn't."""
    from pyarrow import parquet

    with _opened(InputFile(path, label)) as packed:
        content, head = _read_head(packed, label)
        if head.startswith(PARQUET_MAGIC):
            return parquet.ParquetFile(packed).schema_arrow.names, "utf-8"
        encoding = "utf-8"
        try:
            for _ in codecs.iterdecode(iter(lambda: content.read(HEAD_BYTES), b""), encoding):
                pass
        except UnicodeDecodeError:
            encoding = "cp1252"
        return _sniff(head, [], encoding, label)[0], encoding


def read_files(
    files: Sequence[InputFile], columns: Mapping[str, str], encoding: str = "utf-8"
) -> Iterator[pa.RecordBatch]:
    """Read the source's columns as text, in the order of the files and of their rows.

    Each batch holds ``source_row`` (int64, from 1, continued over all files) and the columns under their stored names,
    the values of ``columns``. Cells are as delivered; other columns are left out. Files without rows, which Spark may
    write, add none.

    Raises:
        SourceError: no file has rows, or one is neither CSV nor Parquet, is in another encoding, lacks a column, or
            no longer has the expected content. Raised before the file's first batch, at a batch, or after the last.
    """
    batches = (batch for file in files for batch in _batches(file, list(columns), encoding))
    return number_rows(batches, columns, files[-1].label)


def _batches(file: InputFile, columns: list[str], encoding: str) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    with _opened(file) as packed:
        content, head = _read_head(packed, file.label)
        if head.startswith(PARQUET_MAGIC):
            table = parquet.ParquetFile(packed)
            check_columns(table.schema_arrow.names, columns, file.label)
            for batch in table.iter_batches(columns=columns, use_threads=False):
                yield cast_to_strings(batch, columns, file.label)
        elif head:
            yield from _csv_batches(content, head, columns, encoding, file.label)


@contextmanager
def _opened(file: InputFile) -> Iterator[BufferedReader]:
    """The file's bytes, whose hash is checked at the end.

    Raises:
        SourceError: the file can't be opened, read or unpacked, or was changed, which explains whatever went wrong.
    """
    import pyarrow as pa

    try:
        with file.path.open("rb") as content:
            try:
                yield content
            except Exception:
                _check_unchanged(file, content)
                raise
            _check_unchanged(file, content)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        reason = escape_control(getattr(error, "strerror", None) or str(error))
        raise SourceError(f"{file.label}: the file can't be read: {reason.rstrip('.')}.") from error


def _check_unchanged(file: InputFile, content: BufferedReader) -> None:
    if file.sha256 is not None and _sha256(content) != file.sha256:
        raise SourceError(
            f"{file.label}: the file was changed while it was read, so nothing of it is kept. Run again when it is "
            "complete; write new files under another name and rename them at the end."
        )


def _sha256(content: BufferedReader) -> str:
    content.seek(0)
    return hashlib.file_digest(content, "sha256").hexdigest()


def _read_head(packed: BufferedReader, label: str) -> tuple[BufferedReader | gzip.GzipFile, bytes]:
    """The file's bytes, unpacked if it is a gzip file, and the first of them."""
    content = gzip.GzipFile(fileobj=packed) if packed.peek(2).startswith(GZIP_MAGIC) else packed
    head = content.read(HEAD_BYTES)
    content.seek(0)
    for magic, problem in REFUSED_MAGIC.items():
        if head.startswith(magic):
            raise SourceError(f"{label}: {problem}. Expected CSV or Parquet.")
    return content, head


def _csv_batches(
    content: BufferedReader | gzip.GzipFile, head: bytes, columns: list[str], encoding: str, label: str
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header, delimiter = _sniff(head, columns, encoding, label)
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
    except UnicodeDecodeError as error:
        problem = f"bytes that are not {encoding}; correct `encoding` of the data set, or save the file as UTF-8"
        raise SourceError(f"{label}: {problem}.") from error
    except pa.ArrowException as error:
        problem = escape_control(str(error))
        if invalid := re.search(r"In CSV column #(\d+): Row #(\d+): .*invalid UTF8", problem):
            column = header[int(invalid[1])]
            problem = f"column {column!r} holds text that isn't UTF-8 in row {invalid[2]}; save the file as UTF-8"
        elif "straddle" in problem:
            problem = f"a row is longer than {BLOCK_BYTES >> 20} MB; is a quotation mark never closed? Correct that row"
        raise SourceError(f"{label}: {problem} (separated by {delimiter!r}; the header is row 1).") from error


def _sniff(head: bytes, columns: list[str], encoding: str, label: str) -> tuple[list[str], str]:
    """The first line's cells, and the delimiter under which it has most of these columns, else most cells."""
    # What follows the names is left to Arrow, which reports the column that isn't in this encoding.
    text = head.decode(encoding, errors="replace").lstrip("\ufeff\r\n")
    try:
        headers = {each: next(csv.reader(io.StringIO(text, newline=""), delimiter=each), []) for each in DELIMITERS}
    except csv.Error as error:
        problem = f"the first line is not CSV in {encoding.upper()}; expected the names of the columns"
        raise SourceError(f"{label}: {problem}.") from error
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
