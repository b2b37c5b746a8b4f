"""The statements that score rows as delivered, with the rules that clean training rows, and that find single ones.

No row is rejected for its target: the rules see each with the target value that means 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import IDENTIFIER, SOURCE_ROW
from marvel_assets.datasets.statements import ABSENT, SEPARATOR, cleaning_sql, text, used_columns
from marvel_assets.utils.code_versions import sql_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from marvel_assets.datasets.base import Dataset

PREDICTION_COLUMNS: dict[str, str] = {
    "display_name": "The row's name for people, as delivered.",
    "prediction": "The custom model's answer.",
    "probability": "The model's probability of the second label.",
    "model": "The custom model's name.",
    "model_version": "The version that answered.",
    "source_version": "The version of the scored table in which the row was new, or had changed.",
    "features_digest": "Hash of the features that were scored.",
    "scored_at_utc": "When it answered.",
}
"""The columns of predictions besides the id and the features, each with its description."""


def scoring_version(dataset: Dataset) -> str:
    """A hash of everything that decides the predictions besides the model and the rows."""
    return sql_version(
        changed_ids_sql(dataset, ""),
        rows_to_score_sql(dataset, "", [], "touched"),
        cleaning_sql(dataset),
        scorable_rows_sql(dataset),
        predictions_sql(dataset, "", 0, 0, "touched"),
    )


def required_columns(dataset: Dataset) -> list[str]:
    """The columns that a table must have to be scored; the target is not among them."""
    return [name for name in dataset.source_columns.values() if name != dataset.target.source]


def missing_columns(dataset: Dataset, found: Sequence[str]) -> list[str]:
    """The columns that a table must have to be scored, and lacks."""
    return [name for name in required_columns(dataset) if name not in found]


def columns_of_other_types(dataset: Dataset, types: Mapping[str, str]) -> list[str]:
    """The columns to be scored that don't hold text, with their types: as texts, numbers differ between engines."""
    names = required_columns(dataset)
    return [f"{name} ({types[name]})" for name in names if types[name].upper() not in ("VARCHAR", "STRING")]


def changed_ids_sql(dataset: Dataset, changes: str) -> str:
    """The ids whose rows differ between the versions of a change data feed; rewritten rows cancel out."""
    columns = ", ".join(required_columns(dataset))
    return f"""
        SELECT {dataset.identifier} AS {IDENTIFIER} FROM (
            SELECT {columns}, sum(CASE WHEN _change_type IN ('insert', 'update_postimage') THEN 1 ELSE -1 END) AS net
            FROM {changes} GROUP BY {columns}
        ) AS netted
        WHERE net <> 0 AND {dataset.identifier} IS NOT NULL GROUP BY {dataset.identifier}"""  # noqa: S608


def rows_to_score_sql(dataset: Dataset, relation: str, columns: Sequence[str], touched: str | None) -> str:
    """The rows to score, in the shape of ``raw_characters``; only those of the touched ids where these are known."""
    required, target = ", ".join(required_columns(dataset)), dataset.target
    place = SOURCE_ROW if SOURCE_ROW in columns else f"row_number() OVER (ORDER BY {required})"
    only = "" if touched is None else f" WHERE {dataset.identifier} IN (SELECT {IDENTIFIER} FROM {touched})"  # noqa: S608
    return (
        f"SELECT {place} AS {SOURCE_ROW}, {required}, {text(target.values[1])} AS {target.source} FROM {relation}{only}"  # noqa: S608
    )


def scorable_rows_sql(dataset: Dataset) -> str:
    """What can be scored of ``cleaned_characters``, with the names in ``raw_characters``."""
    columns = ", ".join(f"cleaned.{name}" for name in (IDENTIFIER, *dataset.by_name))
    return f"""
        SELECT {columns}, cleaned.row_digest AS features_digest, raw.{dataset.display_name} AS display_name
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.{SOURCE_ROW} = cleaned.{SOURCE_ROW}
        WHERE cleaned.rejected_column IS NULL"""  # noqa: S608


def scoring_provenance(dataset: Dataset, model: str, version: int) -> dict[str, str]:
    """What made a table of predictions: the model version, and a hash of the scoring statements."""
    return {"model": f"{model}/{version}", "scored_by": scoring_version(dataset)}


def predictions_sql(dataset: Dataset, model: str, version: int, source_version: int, touched: str | None) -> str:
    """The rows of ``scored``, and those of ``previous`` whose ids were not touched."""
    features = ", ".join([IDENTIFIER, *dataset.by_name])
    columns = ", ".join([features, *PREDICTION_COLUMNS])
    fresh = f"""
        SELECT {features}, display_name, CAST(prediction AS STRING) AS prediction, probability,
            CAST({text(model)} AS STRING) AS model, CAST({version} AS BIGINT) AS model_version,
            CAST({source_version} AS BIGINT) AS source_version, features_digest, current_timestamp AS scored_at_utc
        FROM scored"""  # noqa: S608
    kept = f"""
        UNION ALL SELECT {columns} FROM previous
        WHERE {IDENTIFIER} NOT IN (SELECT {IDENTIFIER} FROM {touched})"""  # noqa: S608
    return f"""
        SELECT {columns}, md5(concat_ws({SEPARATOR}, features_digest, coalesce(display_name, {ABSENT}), prediction,
            model_version, source_version)) AS row_digest
        FROM ({fresh}{"" if touched is None else kept}) AS predictions ORDER BY {IDENTIFIER}"""  # noqa: S608


def dataset_for_scoring(dataset: Dataset) -> Dataset:
    """The data set with only the columns that a file to be scored must have: id, name, and what the rules use."""
    needed = {dataset.identifier, dataset.display_name, *used_columns(dataset)} - {dataset.target.source}
    columns = {delivered: stored for delivered, stored in dataset.source_columns.items() if stored in needed}
    return replace(dataset, source_columns=columns)


def cleaned_rows_sql(dataset: Dataset, first: int, last: int) -> str:
    """Name, id, features and, if it can't be scored, the reason, for each source row from ``first`` to ``last``."""
    features = ", ".join(f"cleaned.{name}" for name in dataset.by_name)
    return f"""
        SELECT raw.{dataset.display_name}, raw.{dataset.identifier}, {features}, cleaned.reason
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.{SOURCE_ROW} = cleaned.{SOURCE_ROW}
        WHERE cleaned.{SOURCE_ROW} BETWEEN {first} AND {last} ORDER BY cleaned.{SOURCE_ROW}"""  # noqa: S608


def named_rows_sql(dataset: Dataset, relation: str, name_or_id: str) -> str:
    """The rows with that id, compared exactly, or with that name, in any case."""
    wanted, name = text(name_or_id), f"lower(trim({dataset.display_name}))"
    return f"SELECT * FROM {relation} WHERE {dataset.identifier} = {wanted} OR {name} = lower(trim({wanted}))"  # noqa: S608


def ids_sql(dataset: Dataset, relation: str, part: str = "") -> str:
    """The ids in a relation, each with its name; those whose names hold a text, in any case."""
    return f"""
        SELECT DISTINCT {dataset.identifier} AS id, {dataset.display_name} AS name FROM {relation}
        WHERE contains(lower(coalesce({dataset.display_name}, '')), lower({text(part)}))
            AND {dataset.identifier} IS NOT NULL ORDER BY id"""  # noqa: S608


def has_id(dataset: Dataset, identifier: str) -> str:
    """The condition that a row has an id."""
    return f"{dataset.identifier} = {text(identifier)}"
