"""CSV and Parquet files as Arrow batches of text: what was hashed is what was read, or nothing is kept."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
import re
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from marvel_assets.sources.base import NoRowsError, SourceError, check_columns, expected, number_rows
from marvel_assets.sources.parquet import DecompressionBudget, parquet_batches
from marvel_assets.utils.redaction import escape_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from io import BufferedReader
    from pathlib import Path

    import pyarrow as pa

    from marvel_assets.datasets.base import Dataset

BLOCK_BYTES = 16 << 20
"""How much of a CSV file is parsed at once; a row must fit into it. Arrow reads 32 of them ahead."""

HEAD_BYTES = 1 << 20
"""How much of a file is looked at before it is parsed; the names of the columns must be in it."""

DELIMITERS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
PARQUET_MARK = b"PAR1"
GZIP_MARK = b"\x1f\x8b"
REFUSED_MARKS = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"PK\x03\x04": "packed (zip)",
    b"BZh": "packed (bzip2)",
    b"\xfd7zXZ\x00": "packed (xz)",
    b"\x28\xb5\x2f\xfd": "packed (zstd)",
    b"7z\xbc\xaf\x27\x1c": "packed (7z)",
}


class InputFile(NamedTuple):
    """A file to read.

    Attributes:
        path: where it is.
        label: what its errors begin with.
        sha256: of the bytes that are meant; any where it is None.
    """

    path: Path
    label: str
    sha256: str | None = None


class Dialect(NamedTuple):
    """Dialect of a CSV file: delimiter, and how quotes are escaped."""

    header: list[str]
    delimiter: str
    has_backslashes: bool

    def __str__(self) -> str:
        """The dialect in words, for the log."""
        quotes = "a backslash before them" if self.has_backslashes else "doubling them"
        return f"{DELIMITERS[self.delimiter]} between cells and quotes escaped by {quotes}"


@contextmanager
def open_source(path: Path, label: str) -> Iterator[BufferedReader]:
    """The file's bytes.

    Raises:
        SourceError: it can't be opened or read, or is not an ordinary file, whose end might never come.
    """
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"{label}: is not an ordinary file; expected CSV or Parquet.")
        content = path.open("rb")
    except OSError as error:
        raise SourceError(f"{label}: the file can't be opened: {error.strerror}.") from error
    with content:
        try:
            yield content
        except OSError as error:
            raise SourceError(f"{label}: the file can't be read: {error.strerror or error}.") from error


def hashed(path: Path, label: str) -> InputFile:
    """The file with the SHA-256 of what it holds now.

    Raises:
        SourceError: it can't be read.
    """
    with open_source(path, label) as content:
        return InputFile(path, label, _sha256(content))


def read_files(files: Iterable[InputFile], dataset: Dataset) -> Iterator[pa.RecordBatch]:
    """Read the source's columns as text, in the order of the files and of their rows.

    Each batch holds ``source_row`` (int64, from 1 and on through all files) and the columns of the data set
    under the names that the table stores them by. Cells are as delivered; other columns are left out. Files without
    rows, as Spark writes among others, add none.

    Args:
        files: what to read, in order.
        dataset: names the columns, and how CSV files are encoded.

    Raises:
        SourceError: no file has rows, or one is neither CSV nor Parquet, isn't UTF-8, lacks a column, is packed beyond
            measure, or is not (or no longer) the one that is meant. Raised before the file's first batch where its
            head shows it, else at the batch that does, or after the last one.
    """
    return number_rows(_batches_of_all(files, dataset), dataset.source_columns)


def find_dialect(path: Path, label: str, dataset: Dataset) -> Dialect | None:
    """How a CSV file is written, or None where it is Parquet or nothing that can be read.

    Raises:
        SourceError: it can't be opened, or its first line is not CSV.
    """
    with open_source(path, label) as packed:
        head = _unpacked(packed, label).read(HEAD_BYTES)
    return None if not head or head.startswith((PARQUET_MARK, *REFUSED_MARKS)) else _dialect_of(head, label, dataset)


def _batches_of_all(files: Iterable[InputFile], dataset: Dataset) -> Iterator[pa.RecordBatch]:
    rows, empty = 0, None
    for file in files:
        try:
            for batch in _batches_of(file, dataset):
                rows += batch.num_rows
                yield batch
        except NoRowsError as error:
            empty = error
    if rows == 0 and empty is not None:
        raise empty


def _batches_of(file: InputFile, dataset: Dataset) -> Iterator[pa.RecordBatch]:
    label, rows = file.label, 0
    with _verified(file) as packed:
        content = _unpacked(packed, label)
        head = content.read(HEAD_BYTES)
        content.seek(0)
        if not head:
            raise NoRowsError(
                f"{label}: the file is empty; expected CSV or Parquet with {expected(dataset.source_columns)}."
            )
        for mark, kind in REFUSED_MARKS.items():
            if head.startswith(mark):
                what_to_do = "unpack it, since what comes out has no bounds" if "packed" in kind else "save it as UTF-8"
                raise SourceError(f"{label}: the file is {kind}; {what_to_do}. Expected CSV or Parquet.")
        is_parquet = head.startswith(PARQUET_MARK)
        columns = list(dataset.source_columns)
        for batch in (
            parquet_batches(packed, columns, label) if is_parquet else _csv_batches(content, head, label, dataset)
        ):
            rows += batch.num_rows
            yield batch
        if rows == 0:
            raise NoRowsError(f"{label}: the file has columns and no rows.")


@contextmanager
def _verified(file: InputFile) -> Iterator[BufferedReader]:
    """The file's bytes, and a last look at them: they must still be those that are meant.

    Raises:
        SourceError: they are not. It takes the place of the errors that a half-written file leads to.
    """
    with open_source(file.path, file.label) as content:
        problem = None
        try:
            yield content
        except SourceError as error:
            problem = error
        if file.sha256 is not None and _sha256(content) != file.sha256:
            raise SourceError(
                f"{file.label}: the file was changed while it was read, so nothing of it is kept. Run again when it is "
                "complete; whoever delivers should write under another name and rename at the end."
            ) from problem
        if problem is not None:
            raise problem


class _Gunzipped(gzip.GzipFile):
    """The text of a gzip file, of which no more comes out than a genuine one holds."""

    def __init__(self, packed: BufferedReader, label: str) -> None:
        super().__init__(fileobj=packed)
        self._label = label
        self._budget = DecompressionBudget(os.fstat(packed.fileno()).st_size, label)

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes.

        Raises:
            SourceError: too many come out, or the file is broken.
        """
        try:
            content = super().read(size)
        except (EOFError, OSError, zlib.error) as error:
            raise SourceError(f"{self._label}: begins as gzip and can't be unpacked: {error}.") from error
        self._budget.spend(len(content))
        return content


def _unpacked(content: BufferedReader, label: str) -> BufferedReader | _Gunzipped:
    """The file's bytes, or what a gzip file holds."""
    is_packed = content.read(len(GZIP_MARK)) == GZIP_MARK
    content.seek(0)
    return _Gunzipped(content, label) if is_packed else content


def _sha256(content: BufferedReader) -> str:
    content.seek(0)
    return hashlib.file_digest(content, "sha256").hexdigest()


def _csv_batches(
    content: BufferedReader | _Gunzipped, head: bytes, label: str, dataset: Dataset
) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    dialect = _dialect_of(head, label, dataset)
    check_columns(dialect.header, dataset.source_columns, label)
    try:
        yield from arrow_csv.open_csv(
            content,
            # In one thread, which is as fast here, Arrow knows the number of the row at fault.
            read_options=arrow_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, encoding=dataset.encoding),
            parse_options=arrow_csv.ParseOptions(
                delimiter=dialect.delimiter,
                escape_char="\\" if dialect.has_backslashes else False,
                newlines_in_values=True,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(dataset.source_columns),
                column_types=dict.fromkeys(dataset.source_columns, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{label}: the file holds bytes that are not {dataset.encoding}: {error.reason}. Correct `encoding` in the "
            f"data set {dataset.name}, or save the file as UTF-8."
        ) from error
    except pa.ArrowException as error:
        if "Empty CSV file" in str(error):
            return
        raise SourceError(f"{label}: {_explain(str(error), dialect)}") from error


def _dialect_of(head: bytes, label: str, dataset: Dataset) -> Dialect:
    """The delimiter under which the first line has most of the data set's columns, and how quotes are escaped.

    A quote that ends a cell is followed by a delimiter or the line's end, and one within it by another: a backslash and
    a quote before anything else mean that backslashes escape.
    """
    # What follows the names is left to Arrow, which reports the column that isn't in this encoding.
    encoding = dataset.encoding.upper()
    begin = head.decode("utf-8-sig" if encoding == "UTF-8" else encoding, errors="surrogateescape")
    headers = {}
    try:
        for delimiter in DELIMITERS:
            headers[delimiter] = next(csv.reader(io.StringIO(begin, newline=""), delimiter=delimiter), [])
        ",".join(headers[","]).encode()
    except (UnicodeEncodeError, csv.Error) as error:
        columns = expected(dataset.source_columns)
        raise SourceError(f"{label}: the first line is not CSV in {encoding}; expected {columns}.") from error
    delimiter = max(headers, key=lambda each: len(set(dataset.source_columns) & set(headers[each])))
    has_backslashes = re.search(rf'\\"[^"\r\n{re.escape(delimiter)}]', begin) is not None
    return Dialect(headers[delimiter], delimiter, has_backslashes)


def _explain(problem: str, dialect: Dialect) -> str:
    """Arrow counts columns where a person wants their names; its rows begin with the header as the first."""
    invalid_utf8 = re.search(r"In CSV column #(\d+): (?:Row #(\d+): )?.*invalid UTF8", problem)
    if invalid_utf8:
        row = f" in row {invalid_utf8[2]} (the header is the first)" if invalid_utf8[2] else ""
        column = dialect.header[int(invalid_utf8[1])]
        return f"column {column!r} holds text that isn't UTF-8{row}; save the file as UTF-8."
    if "straddle" in problem:
        return (
            f"a row is longer than {BLOCK_BYTES >> 20} MB, as is what follows a quotation mark that is never closed; "
            "mend that row."
        )
    return f"the file can't be read as CSV with {dialect}: {escape_control(problem)} (the header is the first row)"
