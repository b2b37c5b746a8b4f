"""The statements that clean and split the characters, ready to run on DuckDB or Spark SQL."""

from __future__ import annotations

from importlib.resources import files

from marvel_assets.datasets.marvel_kaggle.columns import MISSING_TEXT, SOURCE_COLUMNS, TEST_BELOW


def cleaned_characters() -> str:
    """The statement of ``cleaning.sql``, with the list of missing texts put in.

    From ``raw_characters`` it makes one row for each row read, with ``split`` ('train', 'test', or null where
    rejected), ``rejected_column``, ``reason`` and ``row_digest``.
    """
    template = files(__package__).joinpath("cleaning.sql").read_text(encoding="utf-8")
    quoted = ", ".join(f"'{text}'" for text in MISSING_TEXT)
    text = template.replace("{missing}", f"({quoted})").replace("{test_below}", TEST_BELOW)
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


def digested_source(relation: str) -> str:
    """The statement that adds a ``row_digest`` to rows as delivered, their place in the source left out."""
    cells = ", ".join(f"coalesce({column}, chr(30))" for column in SOURCE_COLUMNS.values())
    return f"SELECT *, md5(concat_ws(chr(31), {cells})) AS row_digest FROM {relation}"  # noqa: S608


def set_of(split: str) -> str:
    """The statement that takes the train or test rows out of ``cleaned_characters``."""
    return f"""
        SELECT Id, Height, Weight, Universe, Identity, Gender, Marital_Status, Teams, Origin, Magic, Mutant, Alive,
            current_timestamp AS update_timestamp_utc, row_digest
        FROM cleaned_characters WHERE split = '{split}' ORDER BY Id"""  # noqa: S608


def rejected() -> str:
    """The statement that takes the rejected rows, as delivered and with the reason."""
    columns = ", ".join(f"raw.{column}" for column in SOURCE_COLUMNS.values())
    cells = ", ".join(f"coalesce(raw.{column}, chr(30))" for column in SOURCE_COLUMNS.values())
    return f"""
        SELECT cleaned.source_row, {columns}, cleaned.rejected_column, cleaned.reason,
            current_timestamp AS update_timestamp_utc,
            md5(concat_ws(chr(31), {cells}, cleaned.reason)) AS row_digest
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.source_row = cleaned.source_row
        WHERE cleaned.rejected_column IS NOT NULL ORDER BY cleaned.source_row"""  # noqa: S608
