"""Metadata of assets, in the forms that Dagster's pages know."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import dagster as dg

from marvel_assets.defs.resources import configured_project
from marvel_assets.storage.tables import Tables, WriteResult

OWNERS = ["team:marvel"]
FRESHNESS_POLICY = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=8), warn_window=timedelta(days=7, hours=6))
"""Refreshed each week, with a day's grace to fix failures."""


def with_place(spec: dg.AssetSpec, tables: Tables) -> dg.AssetSpec:
    """An asset that is a table, with the table's name and place: the overview reads them from the definition."""
    config = configured_project()
    if config is None or "deltalake" not in spec.kinds:
        return spec
    return spec.merge_attributes(metadata=_place(config.qualified(spec.key.path[-1]), tables))


def _place(table: str, tables: Tables) -> dict[str, dg.MetadataValue]:
    location = tables.location(table)
    folder = {"dagster/uri": dg.MetadataValue.text(str(location))} if isinstance(location, Path) else {}
    return {"dagster/table_name": dg.MetadataValue.text(table), **folder}


def table_metadata(written: WriteResult, tables: Tables) -> dict[str, dg.MetadataValue]:
    """What is known of a table's version."""
    table = written.commit.table
    return {
        **_place(table.name, tables),
        "dagster/row_count": dg.MetadataValue.int(table.rows),
        "delta_version": dg.MetadataValue.int(table.version),
        "content": dg.MetadataValue.text(table.content),
        "unchanged": dg.MetadataValue.bool(not written.is_new),
    }


def log_write(log: dg.DagsterLogManager, written: WriteResult) -> None:
    """One line for who watches the run."""
    table = written.commit.table
    log.info(f"{table}: {table.rows:,} rows, {'written' if written.is_new else 'unchanged'}")


def column_schema(columns: Mapping[str, str], types: Mapping[str, str]) -> dg.TableSchema:
    """Columns with their types and meanings; text where no type is named."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, types.get(name, "string"), meaning) for name, meaning in columns.items()]
    )


def column_lineage(
    columns: Iterable[str], renamed: Mapping[str, Sequence[str]], upstream: dg.AssetKey
) -> dg.TableColumnLineage:
    """The upstream columns of each column: the one of the same name, unless renamed."""
    return dg.TableColumnLineage(
        deps_by_column={
            column: [dg.TableColumnDep(upstream, source) for source in renamed.get(column, [column])]
            for column in columns
            if column != "update_timestamp_utc"
        }
    )


def picture(png: bytes, title: str) -> dg.MetadataValue:
    """A picture that stands on the asset's page."""
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(png).decode()})")
