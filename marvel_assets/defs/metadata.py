"""Metadata of assets in Dagster's formats."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.datasets import descriptions
from marvel_assets.datasets.base import Dataset
from marvel_assets.defs.resources import Project
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.tables import Commit, Tables
from marvel_assets.utils.redaction import escape_markdown

DATASET = Project.from_environment().config.dataset
"""The data set that Dagster's pages describe; a run uses that of its own configuration."""

PREVIEW_ROWS, MAX_CELL = 5, 60
POSITIVE_SHARE = "share"  # key of a commit's provenance: the share of the rows whose target, or prediction, is 1


def markdown_table(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> dg.MetadataValue:
    """A Markdown table; Dagster shows it inline below 1,000 characters."""
    cells = [["" if cell is None else escape_markdown(str(cell)[:MAX_CELL]) for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *cells]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def markdown_image(png: bytes, title: str) -> dg.MetadataValue:
    """An inline image for the asset's page."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")


def report_table(
    log: dg.DagsterLogManager, asset: str, written: Commit, dataset: Dataset, tables: Tables, catalog: UnityCatalog
) -> dict[str, Any]:
    """Log a table's version, register the table in the catalog, and return the metadata for the asset's page."""
    table, provenance, is_new = written
    log.info(f"{table}: {table.rows:,} rows, {'written' if is_new else 'unchanged'}")
    location = tables.location(table.name)
    if isinstance(location, Path):
        comments = descriptions.TABLES[asset], descriptions.table_columns(dataset, asset)
        if problem := catalog.register_table(table.name, location, *comments):
            log.warning(problem)
    preview = tables.preview(table, PREVIEW_ROWS)
    metadata: dict[str, Any] = {
        "preview": markdown_table(preview.column_names, zip(*preview.to_pydict().values(), strict=True)),
        "dagster/row_count": table.rows,
        "delta_version": table.version,
        "unchanged": not is_new,
    }
    if POSITIVE_SHARE in provenance:
        metadata[f"share_{dataset.target.labels[1]}"] = provenance[POSITIVE_SHARE]
    return metadata


def table_schema(asset: str) -> dg.TableSchema:
    """The columns of an asset that is a table; those of the source are text."""
    is_as_delivered = asset in {"raw_characters", "rejected_characters"}
    types = descriptions.TYPES if is_as_delivered else descriptions.column_types(DATASET)
    columns = descriptions.table_columns(DATASET, asset).items()
    return dg.TableSchema([dg.TableColumn(name, types.get(name, "string"), text) for name, text in columns])


def reported(event: dg.EventLogEntry | dg.EventLogRecord | None) -> dict[str, Any]:
    """The metadata of a materialisation as plain values; {} where there is none."""
    metadata = event.asset_materialization.metadata if event and event.asset_materialization else {}
    return {name: value.value for name, value in metadata.items()}
