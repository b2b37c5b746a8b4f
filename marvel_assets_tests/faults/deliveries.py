"""Files as nobody should deliver them."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets_tests.kaggle import SOURCE_COLUMNS

COLUMNS = list(SOURCE_COLUMNS)
ROWS = generate(1500, 11)[COLUMNS]
CSV = ROWS.to_csv(index=False).encode()
HEADER, _, REST = CSV.partition(b"\n")
FIRST = ROWS.to_csv(index=False, header=False).encode().splitlines(keepends=True)[0]


def as_csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False).encode()


def as_parquet(table: pa.Table, **options: object) -> bytes:
    content = io.BytesIO()
    parquet.write_table(table, content, **options)
    return content.getvalue()


def typed(column: str, cells: pa.Array, rows: int = 4) -> bytes:
    """Parquet of a few rows in which one column has cells of another type."""
    table = pa.Table.from_pandas(ROWS[:rows], preserve_index=False)
    return as_parquet(table.set_column(COLUMNS.index(column), column, cells))


def only_claims_to_be_utf8() -> pa.Array:
    places = pa.array(range(5), pa.int32()).buffers()[1]
    return pa.Array.from_buffers(pa.string(), 4, [None, places, pa.py_buffer(b"ab\xffd")])


def zipped(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("characters.csv", content)
    return target.getvalue()


def dictionary_bomb() -> bytes:
    """200 gigabytes of one word."""
    rows = 200_000
    word = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 1_000_000]))
    return as_parquet(pa.table({name: word if name == "Teams" else ["x"] * rows for name in COLUMNS}))


def page_bomb() -> bytes:
    """300 MB in two cells."""
    cells = pa.array(["x" * 150_000_000] * 2)
    table = pa.table({name: cells if name == "Teams" else ["x", "x"] for name in COLUMNS})
    return as_parquet(table, compression="zstd", use_dictionary=False, data_page_size=1 << 29)


def rows_of_nothing() -> bytes:
    """Ten million rows, all missing."""
    return as_parquet(pa.table({name: pa.nulls(10_000_000, pa.string()) for name in COLUMNS}))


def wide_cells() -> bytes:
    return typed("Name", pa.array([b"x" * 100_000] * 4, pa.binary(100_000)))


def without(column: str) -> bytes:
    return as_csv(ROWS.drop(columns=column))


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "a missing column": (lambda: without("Alive"), "column 'Alive' is missing"),
    "a renamed column": (lambda: as_csv(ROWS.rename(columns={"Origin": "origin"})), "column 'Origin' is missing"),
    "a column twice": (lambda: as_csv(ROWS.assign(x="")).replace(b",x\n", b",Name\n", 1), "'Name' is there more than"),
    "nothing": (lambda: b"", "the file is empty"),
    "a header only": (lambda: HEADER + b"\n", "columns and no rows"),
    "Latin-1": (
        lambda: as_csv(pd.concat([ROWS, ROWS[:1].assign(Creators="Ché")])).decode().encode("latin-1", "replace"),
        "holds text that isn't UTF-8 in row ",
    ),
    "UTF-16": (lambda: CSV.decode().encode("utf-16"), "the file is UTF-16; save it as UTF-8"),
    "UTF-16 without a mark": (lambda: CSV.decode().encode("utf-16-le"), "expected the columns PageID"),
    "UTF-32": (lambda: CSV.decode().encode("utf-32"), "the file is UTF-32; save it as UTF-8"),
    "a short row": (lambda: HEADER + b"\n" + FIRST * 3 + b"a,b\n" + FIRST, r"Row #5: Expected 13 columns, got 2"),
    "a long row": (lambda: HEADER + b"\n" + FIRST + FIRST.strip() + b",x\n", r"Row #3: Expected 13 columns, got 14"),
    "a quotation mark that is never closed": (lambda: CSV + b'"' + REST, r"can't be read as CSV .*Row #1502"),
    "an endless row": (lambda: HEADER + b"\n" + FIRST + b'"' + b"x" * 50_000_000, "a row is longer than 16 MB"),
    "an endless first line": (lambda: b"x" * 5_000_000, "the first line is not CSV|are missing"),
    "only zeros": (lambda: bytes(100_000), "expected the columns PageID"),
    "gzip that is cut off": (lambda: gzip.compress(CSV)[:-50], "begins as gzip and can't be unpacked"),
    "a gzip bomb": (
        lambda: gzip.compress(HEADER + b"\n" + FIRST * (300_000_000 // len(FIRST))),
        "holds more than 268 MB in",
    ),
    "Parquet in gzip": (lambda: gzip.compress(typed("Name", pa.array(["a"] * 4))), "can't be read as such"),
    "zip": (lambda: zipped(CSV), r"packed \(zip\)"),
    "bzip2": (lambda: bz2.compress(CSV), r"packed \(bzip2\)"),
    "xz": (lambda: lzma.compress(CSV), r"packed \(xz\)"),
    "lists": (lambda: typed("Teams", pa.array([["a"]] * 4)), "'Teams' can't be read as text: its cells are list<"),
    "structs": (lambda: typed("Name", pa.array([{"a": 1}] * 4)), "'Name' can't be read as text: its cells are struct<"),
    "bytes that are no text": (lambda: typed("Name", pa.array([b"\xff"] * 4)), "'Name' can't be read as text"),
    "texts that are none": (lambda: typed("Name", only_claims_to_be_utf8()), "'Name' can't be read as text"),
    "cells of a fixed width": (wide_cells, "'Name' can't be read as text: its cells are fixed_size_binary"),
    "Parquet that is cut off": (lambda: typed("Name", pa.array(["a"] * 4))[:-9], "can't be read as such"),
    "a dictionary bomb": (dictionary_bomb, "holds more than 268 MB in"),
    "a page bomb": (page_bomb, "holds more than 268 MB in"),
    "rows of nothing": (rows_of_nothing, "holds more than 268 MB in"),
}
"""Each with a part of the reason to tell."""

HOSTILE = (
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "![x](https://evil.example/p.png)",
    "a | b",
    "`code`",
    "\x1b[31m",
    "\x00",
    "two\nlines",
    'quo"ted',
    "'; DROP TABLE raw_characters; --",
    "{{ 7 * 7 }}",
    "../../etc/passwd",
    "\N{RIGHT-TO-LEFT OVERRIDE}",
    "x" * 300,
)


def soiled(column: str) -> pd.DataFrame:
    """A column full of what should stay inert."""
    cells = [HOSTILE[place % len(HOSTILE)] for place in range(len(ROWS))]
    return ROWS.assign(**{column: cells})


ACCEPTED: dict[str, tuple[Callable[[], bytes], Callable[[int], bool]]] = {
    "extra columns": (lambda: as_csv(ROWS.assign(note="x", other="é")), lambda rejected: rejected < 100),
    "columns in another order": (lambda: as_csv(ROWS[COLUMNS[::-1]]), lambda rejected: rejected < 100),
    "a byte order mark": (lambda: b"\xef\xbb\xbf" + CSV, lambda rejected: rejected < 100),
    "gzip": (lambda: gzip.compress(CSV), lambda rejected: rejected < 100),
    "only the living": (lambda: as_csv(ROWS.assign(Alive="Alive")), lambda rejected: rejected < 100),
    "everything missing": (
        lambda: as_csv(ROWS.assign(**dict.fromkeys(COLUMNS, "NULL"))),
        lambda rejected: rejected == 1500,
    ),
    "unknown categories only": (
        lambda: as_csv(ROWS.assign(Universe=[f"U-{place}" for place in range(len(ROWS))], Gender="?", Origin="?")),
        lambda rejected: rejected < 100,
    ),
    "an unknown identity only": (lambda: as_csv(ROWS.assign(Identity="?")), lambda rejected: rejected == 1500),
    "the same id in every row": (lambda: as_csv(ROWS.assign(PageID="one")), lambda rejected: rejected >= 1499),
    "a cell of 10 MB": (
        lambda: as_csv(pd.concat([ROWS, ROWS[:1].assign(PageID="long", Teams="x" * 10_000_000)])),
        lambda rejected: rejected < 100,
    ),
    "a key of 10 MB": (
        lambda: as_csv(pd.concat([ROWS, ROWS[:1].assign(PageID="x" * 10_000_000)])),
        lambda rejected: rejected < 100,
    ),
    "dates": (lambda: typed("Height (m)", pa.array([date(2020, 1, 1)] * 4)), lambda rejected: rejected <= 4),
    "durations": (lambda: typed("Height (m)", pa.array([timedelta(1)] * 4)), lambda rejected: rejected <= 4),
    "decimals": (lambda: typed("Height (m)", pa.array([Decimal("1.85")] * 4)), lambda rejected: rejected <= 4),
    "categories": (lambda: typed("Alive", pa.array(["Alive"] * 4).dictionary_encode()), lambda rejected: rejected <= 4),
    "nulls": (lambda: typed("Alive", pa.nulls(4)), lambda rejected: rejected == 4),
    **{
        f"hostile texts as {column}": (lambda column=column: as_csv(soiled(column)), lambda rejected: rejected <= 1500)
        for column in COLUMNS
    },
}
"""Each with what may be said of the number of rows that are rejected."""
