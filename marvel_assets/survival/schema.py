"""The columns: as the source delivers them, as the tables store them, and what they mean."""

from __future__ import annotations

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

FEATURES: dict[str, str] = {
    "Height": "Height in metres; missing where the source has no plain decimal number.",
    "Weight": "Weight in kilograms; missing where the source has no plain decimal number.",
    "Universe": "Universe, 'Unknown' where it is missing.",
    "Identity": "Public, Secret or Unknown.",
    "Gender": "Male, Female or Other.",
    "Marital_Status": "Single, Married, Widowed, Engaged or Unknown.",
    "Teams": "1 where any team is named, else 0.",
    "Origin": "Human, Mutant, Asgardian, Alien, Symbiote, Robot, Cosmic Being or Other.",
    "Magic": "1 where the origin tells of magic, else 0.",
    "Mutant": "1 where the origin tells of a mutate or mutant, else 0.",
}
"""The columns that a model can learn from, each with its meaning."""

FLAGS = ("Teams", "Magic", "Mutant")
"""Features that are 0 or 1."""

MEASURES = ("Height", "Weight")
"""Features that are measured, and often missing."""

CHARACTER_COLUMNS: dict[str, str] = {
    IDENTIFIER: "The character's page in the Marvel Database; unique.",
    **FEATURES,
    TARGET: "1 alive, 0 dead.",
    "update_timestamp_utc": "When the row was written.",
}
"""The columns of ``train_set`` and ``test_set``."""

REJECTED_COLUMNS: dict[str, str] = {
    SOURCE_ROW: "The row's place in the source, from 1.",
    **{stored: f"{delivered}, as delivered." for delivered, stored in SOURCE_COLUMNS.items()},
    "rejected_column": "The column that the row failed on; the first in the order of the rules.",
    "reason": "What was found there, and what was expected.",
    "update_timestamp_utc": "When the row was written.",
}
"""The columns of ``rejected_characters``."""

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

CATEGORIES: dict[str, tuple[str, ...]] = {
    "Identity": ("Public", "Secret", "Unknown"),
    "Gender": ("Male", "Female", "Other"),
    "Marital_Status": ("Single", "Married", "Widowed", "Engaged", "Unknown"),
    "Origin": ("Human", "Mutant", "Asgardian", "Alien", "Symbiote", "Robot", "Cosmic Being", "Other"),
}
"""The values that the cleaned columns can have, where the list is closed."""

TEST_BELOW = "33333333"
"""An id is a test id where the first digits of its MD5 are below these: a fifth of all ids."""
