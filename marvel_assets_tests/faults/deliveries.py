"""Files as nobody should deliver them."""

from collections.abc import Callable

import pandas as pd

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets_tests.kaggle import SOURCE_COLUMNS

COLUMNS = list(SOURCE_COLUMNS)
ROWS = generate(1500, 11)[COLUMNS]


def as_csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False).encode()


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


ACCEPTED: dict[str, tuple[Callable[[], pd.DataFrame], Callable[[int], bool]]] = {
    "only the living": (lambda: ROWS.assign(Alive="Alive"), lambda rejected: rejected < 100),
    "everything missing": (lambda: ROWS.assign(**dict.fromkeys(COLUMNS, "NULL")), lambda rejected: rejected == 1500),
    "unknown categories only": (
        lambda: ROWS.assign(Universe=[f"U-{place}" for place in range(len(ROWS))], Gender="?", Origin="?"),
        lambda rejected: rejected < 100,
    ),
    "an unknown identity only": (lambda: ROWS.assign(Identity="?"), lambda rejected: rejected == 1500),
    "the same id in every row": (lambda: ROWS.assign(PageID="one"), lambda rejected: rejected >= 1499),
    "a cell and a key of 5 MB": (
        lambda: pd.concat([ROWS, ROWS[:1].assign(PageID="x" * 5_000_000, Teams="x" * 5_000_000)]),
        lambda rejected: rejected < 100,
    ),
    **{
        f"hostile texts as {column}": (lambda column=column: soiled(column), lambda rejected: rejected <= 1500)
        for column in COLUMNS
    },
}
"""Each with what may be said of the number of rows that are rejected."""
