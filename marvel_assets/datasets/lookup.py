"""The statements that find single rows by name or id, in a user's own file or in ``raw_characters``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from marvel_assets.datasets.base import SOURCE_ROW
from marvel_assets.datasets.statements import text, used_columns

if TYPE_CHECKING:
    from marvel_assets.datasets.base import Dataset


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


def ids_sql(dataset: Dataset, relation: str, where: str = "true") -> str:
    """The ids in a relation, each with its name."""
    return f"""
        SELECT DISTINCT {dataset.identifier} AS id, {dataset.display_name} AS name
        FROM {relation} WHERE {where} AND {dataset.identifier} IS NOT NULL ORDER BY id"""  # noqa: S608


def has_id(dataset: Dataset, identifier: str) -> str:
    """The condition that a row has an id."""
    return f"{dataset.identifier} = {text(identifier)}"


def holds_name(dataset: Dataset, part: str) -> str:
    """The condition that a row's name holds a text, in any case."""
    return f"contains(lower({dataset.display_name}), lower({text(part)}))"
