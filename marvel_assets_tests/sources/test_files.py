"""Sources as they come: soiled CSV and typed Parquet, read as text or refused with the column's name."""

import csv
import gzip
import io
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from marvel_assets.sources.base import SourceError
from marvel_assets.sources.files import HEAD_BYTES, FileSource
from marvel_assets_tests.kaggle import SOURCE_COLUMNS
from marvel_assets_tests.sources.conftest import rows_of

LABEL = "the source"
COLUMNS = list(SOURCE_COLUMNS)
Writer = Callable[[pd.DataFrame], bytes]


def characters(**cells: list[str]) -> pd.DataFrame:
    """Two rows; the cells given replace those of a column (its blanks written as underscores)."""
    rows = {column: [f"{column} {row}" for row in (1, 2)] for column in COLUMNS}
    return pd.DataFrame(rows | {SOURCE_COLUMNS.get(name, name): values for name, values in cells.items()})


def as_csv(frame: pd.DataFrame, **options: object) -> bytes:
    return frame.to_csv(index=False, **options).encode()


def with_backslashes(frame: pd.DataFrame, **options: object) -> bytes:
    return as_csv(frame, quoting=csv.QUOTE_ALL, **options).replace(b'""', b'\\"')


def as_parquet(table: pa.Table | pd.DataFrame) -> bytes:
    if isinstance(table, pd.DataFrame):
        table = pa.Table.from_pandas(table, preserve_index=False)
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def typed(column: str, values: pa.Array) -> bytes:
    """Parquet in which a column has a type."""
    table = pa.Table.from_pandas(characters(), preserve_index=False)
    return as_parquet(table.set_column(COLUMNS.index(column), column, values))


def read(folder: Path, content: bytes, encoding: str = "utf-8") -> pd.DataFrame:
    (folder / "source").write_bytes(content)
    return rows_of(FileSource(LABEL, {folder / "source": LABEL}, SOURCE_COLUMNS, encoding))


def refusal(folder: Path, content: bytes) -> str:
    with pytest.raises(SourceError) as raised:
        read(folder, content)
    assert str(raised.value).startswith(f"{LABEL}: ")
    return str(raised.value)


def assert_holds(read_rows: pd.DataFrame, frame: pd.DataFrame) -> None:
    assert list(read_rows.columns) == ["source_row", *SOURCE_COLUMNS.values()]
    expected = frame[COLUMNS].rename(columns=SOURCE_COLUMNS)
    assert read_rows.drop(columns="source_row").to_dict("list") == expected.to_dict("list")
    assert list(read_rows["source_row"]) == list(range(1, len(frame) + 1))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r")), min_size=2, max_size=2))
@example(['He said "no"', "a,b"])
@example(["two\nlines", "two\r\nlines"])
@example(["", " padded "])
@example(["NULL", "nan"])
@example(["007", "1e5"])
@example(["Zoë ✓", "\x00"])
def test_any_csv_cells_are_read_as_delivered(tmp_path_factory: pytest.TempPathFactory, cells: list[str]):
    # given
    frame = characters(Teams=cells)

    # then
    assert_holds(read(tmp_path_factory.getbasetemp(), as_csv(frame)), frame)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + as_csv(characters()),
        as_csv(characters(), lineterminator="\r\n"),
        as_csv(characters()).rstrip(b"\n"),
        as_csv(characters()) + b"\n\n",
        as_csv(characters(), quoting=csv.QUOTE_ALL),
        gzip.compress(as_csv(characters())),
        as_csv(characters()[COLUMNS[::-1]].assign(extra=1)),
        as_parquet(characters()[COLUMNS[::-1]].assign(extra=1)),
        as_csv(characters().assign(note="x", Unnamed="0")).replace(b"Unnamed", b"note").replace(b"x", b"\xe9"),
    ],
    ids=[
        *("byte order mark", "CRLF", "no last newline", "blank lines at the end", "everything quoted", "gzip"),
        *("CSV of another order", "Parquet of another order", "other columns that repeat and are no UTF-8"),
    ],
)
def test_the_ways_in_which_a_file_is_written_make_no_difference(tmp_path: Path, content: bytes):
    # then
    assert_holds(read(tmp_path, content), characters())


@pytest.mark.parametrize("write", [as_csv, as_parquet])
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            lambda frame: frame.drop(columns="Marital Status"),
            "there is no column 'Marital Status'; expected the columns PageID, Name",
        ),
        (
            lambda frame: frame.rename(columns={"Alive": "alive", "Teams": "Team"}),
            "there is no column 'Alive' or 'Teams'; expected .*; found .*'alive'",
        ),
        (lambda frame: frame[:0], "there are no rows."),
    ],
    ids=["a column less", "other names", "no rows"],
)
def test_what_is_missing_is_named(
    tmp_path: Path, write: Writer, change: Callable[[pd.DataFrame], pd.DataFrame], problem: str
):
    # then
    assert re.match(f"{LABEL}: {problem}", refusal(tmp_path, write(change(characters()))))


@pytest.mark.parametrize("rows_before", [0, 2_000], ids=["in the first lines", "further down"])
def test_the_column_that_is_latin_1_is_named(tmp_path: Path, rows_before: int):
    # given
    frame = pd.concat([*[characters()] * (rows_before // 2), characters(Origin=["Schönheit", "x"])])
    content = frame[["Alive", "Origin", *[name for name in COLUMNS if name not in {"Alive", "Origin"}]]]

    # when
    message = refusal(tmp_path, content.assign(first="x").iloc[:, ::-1].to_csv(index=False).encode("latin-1"))

    # then
    problem = f"column 'Origin' holds text that isn't UTF-8 in row {rows_before + 2}; save the file as UTF-8"
    assert message == f"{LABEL}: {problem} (separated by ','; the header is row 1)."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "there are no rows."),
        (characters().to_csv().encode("utf-16"), "the file is UTF-16, a zip archive or a spreadsheet"),
        (b"PK\x03\x04 and more", "the file is UTF-16, a zip archive or a spreadsheet"),
        (gzip.compress(as_csv(characters()))[:-20], "the file can't be read: Compressed file ended"),
        (b"PAR1", "the file can't be read: Parquet file size is 4 bytes"),
        (as_parquet(characters())[:-20], "the file can't be read: Parquet magic bytes not found"),
        (as_csv(characters()) + b'"' + b"x" * 50_000_000, "a row is longer than 16 MB; is a quotation mark never"),
        (as_csv(characters()) + b"a,b\n", "Row #4: Expected 13 columns, got 2"),
        (as_csv(characters()) + b",".join([b"x"] * 20) + b"\n", "Row #4: Expected 13 columns, got 20"),
        (as_csv(characters().assign(n="x")).replace(b",n\n", b",Name\n"), "there is more than one column 'Name'"),
        (as_parquet(pa.table([["x"]] * 14, [*COLUMNS, "Name"])), "there is more than one column 'Name'"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10, "expected the columns PageID, Name"),
        (b"<html>" + b"x" * 300_000, "expected the columns PageID, Name"),
        (b"\n\n\n", "expected the columns PageID, Name"),
        (typed("Name", pa.array([{"a": 1}] * 2)), "column 'Name' can't be read as text"),
        (typed("Name", pa.array([[1], [2]])), "column 'Name' can't be read as text"),
        (typed("Name", pa.array([b"\xff", b"a"])), "column 'Name' can't be read as text"),
    ],
    ids=[
        *("empty", "UTF-16", "zip", "gzip that is cut off", "the beginning of Parquet", "Parquet that is cut off"),
        *("a quote that is never closed", "a short row", "a long row", "CSV with a column twice"),
        *("Parquet with a column twice", "PNG", "HTML in one line", "blank", "records", "lists", "bytes"),
    ],
)
def test_what_can_not_be_read_is_refused_with_what_to_do(tmp_path: Path, content: bytes, problem: str):
    # then
    assert problem in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("separator", "write"),
    [(";", as_csv), ("\t", as_csv), ("|", as_csv), (",", with_backslashes), (";", with_backslashes)],
)
def test_another_separator_and_quotes_that_are_escaped_by_backslashes_are_found(
    tmp_path: Path, separator: str, write: Callable[..., bytes]
):
    # given: commas in cells, as they are written where commas separate nothing
    frame = characters(Name=['Jonathan "Johnny" Storm, the torch', 'He said "no"'], Teams=["1,85", "2,1"])

    # then
    assert_holds(read(tmp_path, write(frame, sep=separator)), frame)


@pytest.mark.parametrize("packed", [bytes, gzip.compress], ids=["CSV", "gzip"])
@pytest.mark.parametrize("moved", range(4))
def test_the_first_quote_that_a_backslash_escapes_may_stand_far_below(
    tmp_path: Path, packed: Callable[[bytes], bytes], moved: int
):
    # given: the backslash before, at and behind the end of the first piece that is searched
    name = 'Wolverine (James "Logan" Howlett)'
    first, second = with_backslashes(characters(Name=["x", name])).split(b'"x"')
    padding = HEAD_BYTES - len(first) - second.index(b"\\") - 5 + moved
    content = first + b'"' + b"x" * padding + b'"' + second

    # when
    rows = read(tmp_path, packed(content))

    # then
    assert list(rows["Name"]) == ["x" * padding, name]


def test_rows_are_numbered_through_all_batches(tmp_path: Path):
    # given
    path = tmp_path / "source.csv"
    frame = pd.concat([characters(Teams=["x" * 500_000, "y"])] * 40, ignore_index=True)
    frame.to_csv(path, index=False)

    # when
    batches = list(FileSource(LABEL, {path: LABEL}, SOURCE_COLUMNS).batches())

    # then
    assert len(batches) > 1
    assert_holds(pa.Table.from_batches(batches).to_pandas(), frame)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([1, None], pa.int64()), ["1", None]),
        (pa.array([1.75, None], pa.float64()), ["1.75", None]),
        (pa.array([20251127000123.0, -1e-7], pa.float64()), ["20251127000123", "-0.0000001"]),
        (pa.array([Decimal("1.5"), None], pa.decimal128(4, 2)), ["1.50", None]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array(["a", "a"]).dictionary_encode(), ["a", "a"]),
        (pa.array([b"a", b"b"], pa.binary()), ["a", "b"]),
        (pa.array([None, None], pa.null()), [None, None]),
    ],
    ids=["integers", "floats", "exponents", "decimals", "booleans", "large text", "categories", "bytes", "nothing"],
)
def test_typed_columns_of_parquet_become_text(tmp_path: Path, values: pa.Array, texts: list[str | None]):
    # when
    rows = read(tmp_path, typed("Height (m)", values))

    # then
    assert rows["Height_m"].tolist() == texts
    assert list(rows["Name"]) == ["Name 1", "Name 2"]
