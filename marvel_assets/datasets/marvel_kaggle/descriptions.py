"""What the columns mean, hold and come from, for Dagster's pages.

No code version covers it: a better word makes nothing stale.
"""

from __future__ import annotations

from marvel_assets.datasets.marvel_kaggle.columns import (
    BINARY_FEATURES,
    IDENTIFIER,
    NUMERIC_FEATURES,
    SOURCE_COLUMNS,
    SOURCE_ROW,
    TARGET,
)

IDENTIFIED: dict[str, str] = {
    IDENTIFIER: "The character's page in the Marvel Database; unique.",
    "Height": "Height in metres; missing where the source has no plain decimal number.",
    "Weight": "Weight in kilograms; missing where the source has no plain decimal number.",
    "Universe": "Universe, 'Unknown' where it is missing.",
    "Identity": "Public, Secret or Unknown.",
    "Gender": "Male, Female or Other.",
    "Marital_Status": "Single, Married, Widowed, Engaged or Unknown.",
    "Teams": "1 where any team is named, else 0.",
    "Origin": "Human, Mutant, Asgardian, Alien, Symbiote, Robot, Cosmic Being or Other.",
    "Magic": "1 where the origin mentions magic, else 0.",
    "Mutant": "1 where the origin mentions a mutate or mutant, else 0.",
}
"""The id and the features."""

WRITTEN = {"update_timestamp_utc": "When the row was written."}

RAW_CHARACTERS: dict[str, str] = {
    SOURCE_ROW: "The row's place in the source, from 1.",
    **{stored: f"{delivered}, as delivered." for delivered, stored in SOURCE_COLUMNS.items()},
}
CHARACTERS: dict[str, str] = {**IDENTIFIED, TARGET: "1 alive, 0 dead.", **WRITTEN}
REJECTED_CHARACTERS: dict[str, str] = {
    **RAW_CHARACTERS,
    "rejected_column": "The column that the row failed on; the first in the order of the rules.",
    "reason": "What was found there, and what was expected.",
    **WRITTEN,
}
SURVIVAL_PREDICTIONS: dict[str, str] = {
    **IDENTIFIED,
    "prediction": "alive or dead.",
    "model": "The custom model's name.",
    "model_version": "The version that answered.",
    "source_version": "The version of the scored table in which the character was new, or had changed.",
    "features_digest": "Hash of what the model was asked about.",
    "scored_at_utc": "When it answered.",
}

DELIVERED_TYPES = {SOURCE_ROW: "bigint", "update_timestamp_utc": "timestamp"}
"""Types of the columns of raw and rejected characters that are no text."""

CLEANED_TYPES = {
    **dict.fromkeys(NUMERIC_FEATURES, "double"),
    **dict.fromkeys((*BINARY_FEATURES, TARGET), "integer"),
    **dict.fromkeys(("model_version", "source_version"), "bigint"),
    **dict.fromkeys(("update_timestamp_utc", "scored_at_utc"), "timestamp"),
}
"""Types of the columns of cleaned characters and of predictions that are no text."""

LINEAGE = {
    IDENTIFIER: ["PageID"],
    "Height": ["Height_m"],
    "Weight": ["Weight_kg"],
    "Magic": ["Origin"],
    "Mutant": ["Origin"],
}
"""Columns that come from raw columns of another name."""
