"""The columns: as the source delivers them, and as the tables store them."""

from __future__ import annotations

from typing import Any

SOURCE_COLUMNS: dict[str, str] = {
    "PageID": "PageID",
    "Name": "Name",
    "Universe": "Universe",
    "URL": "URL",
    "Identity": "Identity",
    "Gender": "Gender",
    "Alive": "Alive",
    "Marital Status": "Marital_Status",
    "Teams": "Teams",
    "Height (m)": "Height_m",
    "Weight (kg)": "Weight_kg",
    "Origin": "Origin",
    "Creators": "Creators",
}
"""The source's columns and their names in ``raw_characters``: Delta allows neither blanks nor brackets in them."""

SOURCE_ROW = "source_row"
"""The row's place in the source, from 1."""

TARGET = "Alive"
IDENTIFIER = "Id"

FEATURES = (
    "Height",
    "Weight",
    "Universe",
    "Identity",
    "Gender",
    "Marital_Status",
    "Teams",
    "Origin",
    "Magic",
    "Mutant",
)
"""The columns that a model can learn from, in the tables' order."""

BINARY_FEATURES = ("Teams", "Magic", "Mutant")
"""Features that are 0 or 1: flags that the cleaning derives."""

NUMERIC_FEATURES = ("Height", "Weight")
"""Features that are measured, and often missing."""

MEASURED = {"Height (m)": "Height_m", "Weight (kg)": "Weight_kg"}
"""The source's columns of numbers, and their names in ``raw_characters``."""

SLICE_COLUMNS = ("Gender", "Identity", "Universe")
"""The columns that the gate looks at value by value."""

CHARACTER_COLUMNS = (IDENTIFIER, *FEATURES, TARGET, "update_timestamp_utc")
"""The columns of ``train_set`` and ``test_set``."""

REJECTED_COLUMNS = (SOURCE_ROW, *SOURCE_COLUMNS.values(), "rejected_column", "reason", "update_timestamp_utc")
"""The columns of ``rejected_characters``."""

FILL_VALUES: dict[str, str | float] = {
    "Universe": "Unknown",
    "Identity": "Unknown",
    "Gender": "Other",
    "Marital_Status": "Unknown",
    "Teams": 0,
    "Origin": "Other",
    "Magic": 0,
    "Mutant": 0,
}
"""What a missing cell stands for, in ``cleaning.sql`` and in the pipeline: one character gets one answer."""

EXAMPLE: dict[str, list[Any]] = {
    "Height": [1.85, None],
    "Weight": [90.7, None],
    "Universe": ["Earth-616", "Earth-1610"],
    "Identity": ["Secret", "Unknown"],
    "Gender": ["Male", "Female"],
    "Marital_Status": ["Single", "Unknown"],
    "Teams": [1, 0],
    "Origin": ["Mutant", "Human"],
    "Magic": [0, 1],
    "Mutant": [1, 0],
}
"""Two invented characters: one with everything known, one with what can be missing left out."""

MISSING_TEXT = (
    "",
    "#N/A",
    "#N/A N/A",
    "#NA",
    "-1.#IND",
    "-1.#QNAN",
    "-NaN",
    "-nan",
    "1.#IND",
    "1.#QNAN",
    "<NA>",
    "N/A",
    "NA",
    "NULL",
    "NaN",
    "None",
    "n/a",
    "nan",
    "null",
)
"""Cells that count as missing: what ``pandas.read_csv`` takes so by default."""

BLANKS = " \t\r\n\u00a0\u2007\u202f"
"""What is trimmed from both ends of a cell, ids aside: blanks, tabs, line ends, and spaces that don't break."""

NO_TEAM = ("false", "0", "0.0")
"""What ``Teams`` holds where no team is named, besides nothing; in small letters."""

CATEGORY_LEVELS: dict[str, tuple[str, ...]] = {
    "Identity": ("Public", "Secret", "Unknown"),
    "Gender": ("Male", "Female", "Other"),
    "Marital_Status": ("Single", "Married", "Widowed", "Engaged", "Unknown"),
    "Origin": ("Human", "Mutant", "Asgardian", "Alien", "Symbiote", "Robot", "Cosmic Being", "Other"),
}
"""The values that the cleaned columns can have, where the list is closed."""

SPELLINGS: dict[str, dict[str, str]] = {
    name: {value.lower(): value for value in values}
    for name, values in {**CATEGORY_LEVELS, TARGET: ("Alive", "Dead")}.items()
}
"""The values of closed lists by what they are called, in small letters: cleaning and pipeline ignore case."""
SPELLINGS["Marital_Status"]["widow"] = "Widowed"

TEST_HASH_BOUND = "33333333"
"""An id is a test id where the first digits of its MD5 are below these: a fifth of all ids."""
