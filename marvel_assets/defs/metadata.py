"""Metadata of assets in Dagster's formats."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.datasets import descriptions
from marvel_assets.datasets.base import WRITTEN_AT, Dataset
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.tables import Tables, WriteResult
from marvel_assets.utils.redaction import escape_markdown

PREVIEW_ROWS, MAX_CELL = 5, 60
SHARE = "share"
"""Key of a commit's provenance: the share of the rows whose target, or prediction, is 1."""


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> dg.MetadataValue:
    """A Markdown table; Dagster shows it inline below 1,000 characters."""
    header = list(columns)
    cells = [["" if cell is None else escape_markdown(str(cell)[:MAX_CELL]) for cell in row] for row in rows]
    lines = [header, ["---"] * len(header), *cells]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def share_metadata(provenance: Mapping[str, Any], label: str) -> dict[str, dg.MetadataValue]:
    """The share of the rows with the second label, if the table's commit recorded it."""
    return {f"share_{label}": dg.MetadataValue.float(provenance[SHARE])} if SHARE in provenance else {}


def report_table(
    log: dg.DagsterLogManager, asset: str, written: WriteResult, dataset: Dataset, tables: Tables, catalog: UnityCatalog
) -> dict[str, dg.MetadataValue]:
    """Log a table's version, register the table in the catalog, and return the metadata for the asset's page."""
    table = written.commit.table
    log.info(f"{table}: {table.rows:,} rows, {'written' if written.is_new else 'unchanged'}")
    location = tables.location(table.name)
    if isinstance(location, Path):
        comments = descriptions.TABLES[asset], descriptions.table_columns(dataset, asset)
        if problem := catalog.register_table(table.name, location, *comments):
            log.warning(problem)
    preview = tables.preview(table, PREVIEW_ROWS)
    return {
        "preview": markdown_table(preview.column_names, zip(*preview.to_pydict().values(), strict=True)),
        "dagster/row_count": dg.MetadataValue.int(table.rows),
        "delta_version": dg.MetadataValue.int(table.version),
        "content_hash": dg.MetadataValue.text(table.content),
        "unchanged": dg.MetadataValue.bool(not written.is_new),
    }


def column_schema(columns: Mapping[str, str], types: Mapping[str, str]) -> dg.TableSchema:
    """Dagster's table schema from descriptions and types by column; the default type is string."""
    return dg.TableSchema([dg.TableColumn(name, types.get(name, "string"), text) for name, text in columns.items()])


def column_lineage(
    columns: Iterable[str], renamed: Mapping[str, Sequence[str]], upstream: dg.AssetKey
) -> dg.TableColumnLineage:
    """The upstream columns of each column: the one with the same name, unless ``renamed`` has it."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(upstream, source) for source in renamed.get(column, [column])]
            for column in columns
            if column != WRITTEN_AT
        }
    )


def picture(png: bytes, title: str) -> dg.MetadataValue:
    """An inline image for the asset's page."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")
