"""The statements that score characters as delivered, by the same rules that training rows are cleaned by.

Nobody is rejected for ``Alive``: every character is handed to ``cleaning.sql`` as if it were known to live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from marvel_assets.datasets.marvel_kaggle.columns import FEATURES, IDENTIFIER, SOURCE_COLUMNS, SOURCE_ROW, TARGET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INSERTED = "('insert', 'update_postimage')"

PREDICTION_COLUMNS = (
    IDENTIFIER,
    *FEATURES,
    "prediction",
    "model",
    "model_version",
    "source_version",
    "features_digest",
    "scored_at_utc",
)
"""The columns of ``survival_predictions``."""

TEXT = frozenset({"VARCHAR", "STRING"})
"""What DuckDB and Spark call it."""

REQUIRED_COLUMNS = [name for name in SOURCE_COLUMNS.values() if name != TARGET]


def missing_columns(found: Sequence[str]) -> list[str]:
    """The columns that a table must have to be scored, and lacks; ``Alive`` is not among them."""
    return [name for name in REQUIRED_COLUMNS if name not in found]


def columns_of_other_types(types: Mapping[str, str]) -> list[str]:
    """The columns to be scored that don't hold text, each with the type that it has instead.

    Args:
        types: of all columns, as DESCRIBE returns them. DuckDB and Spark write the same number as different texts.
    """
    return [f"{name} ({types[name]})" for name in REQUIRED_COLUMNS if types[name].upper() not in TEXT]


def changed_ids_sql(changes: str) -> str:
    """The ids whose rows differ between the versions of a change data feed; rewritten rows cancel out."""
    columns = ", ".join(REQUIRED_COLUMNS)
    return f"""
        SELECT PageID FROM (
            SELECT {columns}, sum(CASE WHEN _change_type IN {INSERTED} THEN 1
                WHEN _change_type = 'update_preimage' OR _change_type = 'delete' THEN -1 ELSE 0 END) AS net
            FROM {changes} GROUP BY {columns}
        ) AS netted
        WHERE net <> 0 AND PageID IS NOT NULL GROUP BY PageID"""  # noqa: S608


def rows_to_score_sql(relation: str, columns: Sequence[str], touched: str | None) -> str:
    """The rows to score, in the shape of ``raw_characters``; only those of the touched ids where these are known."""
    place = SOURCE_ROW if SOURCE_ROW in columns else f"row_number() OVER (ORDER BY {', '.join(REQUIRED_COLUMNS)})"
    only = "" if touched is None else f" WHERE PageID IN (SELECT PageID FROM {touched})"  # noqa: S608
    return f"SELECT {place} AS {SOURCE_ROW}, {', '.join(REQUIRED_COLUMNS)}, 'Alive' AS {TARGET} FROM {relation}{only}"  # noqa: S608


def scorable_rows_sql() -> str:
    """What can be scored of ``cleaned_characters``."""
    return f"""
        SELECT Id, {", ".join(FEATURES)}, row_digest AS features_digest
        FROM cleaned_characters WHERE rejected_column IS NULL"""  # noqa: S608


def predictions_sql(model: str, version: int, source_version: int, touched: str | None) -> str:
    """What ``scored`` holds, and of ``previous`` what was not touched."""
    columns = ", ".join(PREDICTION_COLUMNS)
    fresh = f"""
        SELECT Id, {", ".join(FEATURES)}, CAST(prediction AS STRING) AS prediction,
            CAST('{model}' AS STRING) AS model, CAST({version} AS BIGINT) AS model_version,
            CAST({source_version} AS BIGINT) AS source_version, features_digest, current_timestamp AS scored_at_utc
        FROM scored"""  # noqa: S608
    kept = f"""
        UNION ALL SELECT {columns} FROM previous
        WHERE Id NOT IN (SELECT PageID FROM {touched})"""  # noqa: S608
    return f"""
        SELECT {columns},
            md5(concat_ws(chr(31), features_digest, prediction, model_version, source_version)) AS row_digest
        FROM ({fresh}{"" if touched is None else kept}) AS everybody ORDER BY Id"""  # noqa: S608
