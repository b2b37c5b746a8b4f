"""The statements that score rows as delivered, cleaned by the rules of training rows, and that find single rows.

No row is rejected for its target: each gets the target value that means 1 before it is cleaned.
"""

from marvel_assets.datasets.base import IDENTIFIER, SOURCE_ROW, Dataset
from marvel_assets.datasets.statements import cleaning_sql, row_digest, text, used_columns
from marvel_assets.utils.code_versions import sql_version

PREDICTION_COLUMNS = {  # besides the id and the features, each with its description
    "display_name": "The row's display name, as delivered.",
    "prediction": "The custom model's answer.",
    "probability": "The model's probability of the second label.",
    "model": "The custom model's name.",
    "model_version": "The custom model's version.",
    "source_version": "The version of the scored table in which the row was added or changed.",
    "features_digest": "Hash of the features that were scored.",
    "scored_at_utc": "When the row was scored.",
}


def scoring_version(dataset: Dataset) -> str:
    """A hash of everything that decides the predictions besides the model and the rows."""
    return sql_version(
        changed_ids_sql(dataset),
        rows_to_score_sql(dataset, "", only_changed=True),
        cleaning_sql(dataset),
        scorable_rows_sql(dataset),
        predictions_sql(dataset, "", 0, 0, only_changed=True),
    )


def scoring_provenance(dataset: Dataset, model: str, version: int) -> dict[str, str]:
    """What made a table of predictions: the model version, and a hash of the scoring statements."""
    return {"model": f"{model}/{version}", "scored_by": scoring_version(dataset)}


def required_columns(dataset: Dataset) -> list[str]:
    """The stored columns that rows to be scored must have: id, name, and what the rules use but the target."""
    needed = {dataset.identifier, dataset.display_name, *used_columns(dataset)} - {dataset.target.source}
    return [stored for stored in dataset.source_columns.values() if stored in needed]


def changed_ids_sql(dataset: Dataset) -> str:
    """From the change data feed ``changes``: the ids whose rows differ; rewritten rows cancel out."""
    columns = ", ".join(required_columns(dataset))
    return f"""
        SELECT {dataset.identifier} AS {IDENTIFIER} FROM (
            SELECT {columns}, sum(CASE WHEN _change_type IN ('insert', 'update_postimage') THEN 1 ELSE -1 END) AS net
            FROM changes GROUP BY {columns}
        ) AS netted
        WHERE net <> 0 AND {dataset.identifier} IS NOT NULL GROUP BY {dataset.identifier}"""  # noqa: S608


def rows_to_score_sql(dataset: Dataset, relation: str, *, numbered: bool = True, only_changed: bool = False) -> str:
    """The rows of a relation in the shape of ``raw_characters``; on request only those with ``changed_ids``."""
    required, target = ", ".join(required_columns(dataset)), dataset.target
    row_number = SOURCE_ROW if numbered else f"row_number() OVER (ORDER BY {required})"
    changed = f"WHERE {dataset.identifier} IN (SELECT {IDENTIFIER} FROM changed_ids)" if only_changed else ""  # noqa: S608
    return f"""
        SELECT {row_number} AS {SOURCE_ROW}, {required}, {text(target.values[1])} AS {target.source}
        FROM {relation} {changed}"""  # noqa: S608


def scorable_rows_sql(dataset: Dataset) -> str:
    """The rows of ``cleaned_characters`` that can be scored, with their display names from ``raw_characters``."""
    columns = ", ".join(f"cleaned.{name}" for name in (IDENTIFIER, *dataset.by_name))
    return f"""
        SELECT {columns}, cleaned.row_digest AS features_digest, raw.{dataset.display_name} AS display_name
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.{SOURCE_ROW} = cleaned.{SOURCE_ROW}
        WHERE cleaned.rejected_column IS NULL"""  # noqa: S608


def predictions_sql(dataset: Dataset, model: str, version: int, source_version: int, *, only_changed: bool) -> str:
    """The rows of ``scored``; if only the changed ones were scored, with the others of ``previous``."""
    features = ", ".join([IDENTIFIER, *dataset.by_name])
    columns = ", ".join([features, *PREDICTION_COLUMNS])
    unchanged = f"""
        UNION ALL SELECT {columns} FROM previous
        WHERE {IDENTIFIER} NOT IN (SELECT {IDENTIFIER} FROM changed_ids)"""  # noqa: S608
    return f"""
        SELECT {columns},
            {row_digest("features_digest", "display_name", "prediction", "model_version", "source_version")}
        FROM (
            SELECT {features}, display_name, CAST(prediction AS STRING) AS prediction, probability,
                CAST({text(model)} AS STRING) AS model, CAST({version} AS BIGINT) AS model_version,
                CAST({source_version} AS BIGINT) AS source_version, features_digest,
                current_timestamp AS scored_at_utc
            FROM scored {unchanged if only_changed else ""}
        ) AS predictions ORDER BY {IDENTIFIER}"""  # noqa: S608


def cleaned_rows_sql(dataset: Dataset, first: int, last: int) -> str:
    """Name, id, features and, if it can't be scored, the reason, for each source row from ``first`` to ``last``."""
    features = ", ".join(f"cleaned.{name}" for name in dataset.by_name)
    return f"""
        SELECT raw.{dataset.display_name}, raw.{dataset.identifier}, {features}, cleaned.reason
        FROM cleaned_characters AS cleaned JOIN raw_characters AS raw ON raw.{SOURCE_ROW} = cleaned.{SOURCE_ROW}
        WHERE cleaned.{SOURCE_ROW} BETWEEN {first} AND {last} ORDER BY cleaned.{SOURCE_ROW}"""  # noqa: S608


def similar_names_sql(dataset: Dataset, relation: str, name_or_id: str) -> str:
    """The ids and names of rows with that id, or with that text in their names, and whether each equals it."""
    name, wanted = f"lower(trim(coalesce({dataset.display_name}, '')))", text(name_or_id)
    return f"""
        SELECT DISTINCT {dataset.identifier} AS id, {dataset.display_name} AS name,
            {dataset.identifier} = {wanted} AS has_id, {name} = lower(trim({wanted})) AS has_name
        FROM {relation}
        WHERE {dataset.identifier} = {wanted}
            OR ({dataset.identifier} IS NOT NULL AND contains({name}, lower(trim({wanted})))) ORDER BY id"""  # noqa: S608
