"""From the source to the cleaned tables."""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from marvel_assets.datasets import descriptions, statements
from marvel_assets.defs.metadata import (
    SHARE,
    column_lineage,
    column_schema,
    markdown_table,
    report_table,
    share_metadata,
)
from marvel_assets.defs.readiness import check_ready
from marvel_assets.defs.resources import Project, configured_dataset
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.sources.resource import SourceResource
from marvel_assets.storage.engines.base import Engine
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.tables import Tables, WriteResult
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.utils.code_versions import code_version, make_cache_key
from marvel_assets.utils.redaction import escape_control

GROUP = "ingestion"
READING_CODE_VERSION = code_version("marvel_assets.sources.files", "marvel_assets.sources.delta")
DATASET = configured_dataset()
"""The data set that the pages describe; a run uses that of its own configuration."""

SOURCE_DIGEST, SOURCE_FINGERPRINT = "source_digest", "source_fingerprint"
"""Metadata of raw_characters: the digest of the source's content, and its fingerprint when it was read."""

MAX_REASONS, MAX_REASON, SHOWN = 10, 200, 3
"""Of the most common reasons for rejections: how many are recorded, the characters of each, how many are logged."""

REASONS = "reasons"
"""Key of a commit's provenance: the reasons for rejections, each with its number of rows."""

ROW_COUNT_CHECK = "accepted_and_rejected_add_up"
CLEANED_TABLES = ("train_set", "test_set", "rejected_characters")

characters_source = dg.AssetSpec(
    "characters_source",
    group_name=GROUP,
    kinds={"csv"},
    description="The file, folder, table, URL or generator that `MARVEL_SOURCE` or a run's configuration names.",
)


class RawCharactersConfig(dg.Config):
    """Where the rows of this run come from."""

    source: str | None = Field(
        default=None,
        description=(
            "A CSV or Parquet file, a folder of such files or of a Delta table, an http(s) URL, "
            "kaggle:<owner>/<dataset>, or 'generated'. Default: MARVEL_SOURCE, else the source that was last read. It "
            "is shown with the run: put addresses that contain a password or token in MARVEL_SOURCE."
        ),
    )
    generator_rows: int | None = Field(default=None, ge=1, description="Rows of 'generated'. Default: project.yml.")


RAW_SCHEMA = column_schema(descriptions.table_columns(DATASET, "raw_characters"), descriptions.TYPES)


@dg.asset(
    group_name=GROUP,
    kinds={"deltalake", "table"},
    code_version=READING_CODE_VERSION,
    io_manager_key="references",
    pool=POOL,
    deps=[characters_source],
    metadata={"dagster/column_schema": RAW_SCHEMA},
)
def raw_characters(
    context: dg.AssetExecutionContext,
    config: RawCharactersConfig,
    project: Project,
    sources: SourceResource,
    engine: dg.ResourceParam[Engine],
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
    retraining_lock: RetrainingLock,
) -> dg.MaterializeResult[TableVersion]:
    """The characters as delivered: every cell as text, one Delta version per distinct content."""
    retraining_lock.acquire(context)
    check_ready(project.config, engine, tracking, unity_catalog)
    name, dataset = project.config.qualified("raw_characters"), project.config.dataset
    generator = project.config.generator
    rows = config.generator_rows or generator.rows
    settings = project.config.model_copy(update={"generator": generator.model_copy(update={"rows": rows})})
    fingerprint = sources.fingerprint(config.source, settings)
    with sources.located(config.source, settings) as source:
        reader = make_cache_key(READING_CODE_VERSION, dataset.source_columns, dataset.encoding)
        read_from = {SOURCE_DIGEST: source.digest, "read_by": reader}
        latest = tables.latest(name)
        if latest is not None and read_from.items() <= latest.provenance.items():
            written = WriteResult(latest, is_new=False)
        else:
            context.log.info(f"Reading {source.label}")
            with engine.session() as session:
                session.read_source(source, "delivered")
                session.create_view(statements.digested_source_sql(dataset, "delivered"), "raw_characters")
                provenance = {"source": source.label, **read_from}
                written = tables.write_if_changed(session, "raw_characters", name, provenance)
        return dg.MaterializeResult(
            value=written.commit.table,
            data_version=dg.DataVersion(written.commit.table.data_version),
            metadata={
                **report_table(context.log, "raw_characters", written, dataset, tables, unity_catalog),
                "source": source.label,
                SOURCE_DIGEST: source.digest,
                SOURCE_FINGERPRINT: fingerprint,
            },
        )


CLEANING_VERSION = statements.cleaning_version(DATASET)
CHARACTER_COLUMNS = descriptions.table_columns(DATASET, "train_set")
CHARACTER_SCHEMA = column_schema(CHARACTER_COLUMNS, descriptions.column_types(DATASET))
CHARACTER_LINEAGE = column_lineage(CHARACTER_COLUMNS, descriptions.lineage(DATASET), raw_characters.key)
REJECTED_SCHEMA = column_schema(descriptions.table_columns(DATASET, "rejected_characters"), descriptions.TYPES)
REJECTED_LINEAGE = column_lineage(DATASET.source_columns.values(), {}, raw_characters.key)


def _cleaned_table(name: str, schema: dg.TableSchema, lineage: dg.TableColumnLineage) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=[raw_characters],
        description=descriptions.TABLES[name],
        group_name=GROUP,
        kinds={"deltalake", "table"},
        code_version=CLEANING_VERSION,
        skippable=True,
        metadata={"dagster/column_schema": schema, "dagster/column_lineage": lineage},
    ).with_io_manager_key("references")


@dg.multi_asset(
    name="characters",
    specs=[
        _cleaned_table("train_set", CHARACTER_SCHEMA, CHARACTER_LINEAGE),
        _cleaned_table("test_set", CHARACTER_SCHEMA, CHARACTER_LINEAGE),
        _cleaned_table("rejected_characters", REJECTED_SCHEMA, REJECTED_LINEAGE),
    ],
    ins={"raw_characters": dg.AssetIn("raw_characters")},
    check_specs=[
        dg.AssetCheckSpec(
            ROW_COUNT_CHECK,
            asset="rejected_characters",
            description="Accepted and rejected rows add up to the rows that were read.",
            blocking=True,
        )
    ],
    can_subset=True,
    pool=POOL,
)
def characters(
    context: dg.AssetExecutionContext,
    raw_characters: TableVersion,
    project: Project,
    engine: dg.ResourceParam[Engine],
    tables: Tables,
    unity_catalog: UnityCatalog,
    retraining_lock: RetrainingLock,
) -> Iterator[dg.MaterializeResult[TableVersion]]:
    """Clean and split the raw characters in one pass; each table is one atomic commit."""
    retraining_lock.acquire(context)
    dataset = project.config.dataset
    selected = [key.to_user_string() for key in sorted(context.selected_asset_keys)]
    made_of = {"raw_content": raw_characters.content, "cleaned_by": statements.cleaning_version(dataset)}
    found = {asset: tables.latest(project.config.qualified(asset)) for asset in selected}
    current = [
        (asset, WriteResult(latest, is_new=False))
        for asset, latest in found.items()
        if latest and made_of.items() <= latest.provenance.items()
    ]
    is_current = len(current) == len(selected)
    results = current if is_current else _clean(context.log, selected, raw_characters, made_of, project, engine, tables)
    for asset, written in results:
        provenance = written.commit.provenance
        counts = {name: provenance[name] for name in CLEANED_TABLES}
        at_a_glance, check_results = share_metadata(provenance, dataset.target.labels[1]), []
        if asset == "rejected_characters":
            at_a_glance = {REASONS: markdown_table(["reason", "rows"], provenance[REASONS])}
            read = provenance["read"]
            adds_up, numbers = read == sum(counts.values()), {"read": read, **counts}
            check_results = [dg.AssetCheckResult(check_name=ROW_COUNT_CHECK, passed=adds_up, metadata=numbers)]
        yield dg.MaterializeResult(
            asset_key=asset,
            value=written.commit.table,
            data_version=dg.DataVersion(written.commit.table.data_version),
            metadata={
                **at_a_glance,
                **report_table(context.log, asset, written, dataset, tables, unity_catalog),
                "made_from": provenance["raw_characters"],
            },
            check_results=check_results,
        )
    if not provenance["train_set"] + provenance["test_set"]:
        raise dg.Failure(
            f"All {raw_characters.rows:,} rows of {raw_characters} were rejected. Most common reasons: "
            f"{_in_words(provenance[REASONS])}. rejected_characters has all rows, each with its reason.",
        )


def _clean(
    log: dg.DagsterLogManager,
    selected: Sequence[str],
    raw: TableVersion,
    made_of: dict[str, str],
    project: Project,
    engine: Engine,
    tables: Tables,
) -> Iterator[tuple[str, WriteResult]]:
    """Write the selected tables."""
    dataset = project.config.dataset
    log.info(f"Cleaning and splitting the {raw.rows:,} rows of {raw}")
    with engine.session() as session:
        session.read_table(tables.location(raw.name), raw.version, "raw_characters")
        session.create_table_as(statements.cleaning_sql(dataset), "cleaned_characters")
        session.create_view(statements.split_sql(dataset, "train"), "train_set")
        session.create_view(statements.split_sql(dataset, "test"), "test_set")
        # Stored: the rejected rows are few, but every raw cell is read to find them.
        session.create_table_as(statements.rejected_sql(dataset), "rejected_characters")
        numbers = [session.fetchall(f"SELECT count(*) FROM {asset}")[0][0] for asset in CLEANED_TABLES]  # noqa: S608
        counts = {asset: int(str(number)) for asset, number in zip(CLEANED_TABLES, numbers, strict=True)}
        if sum(counts.values()) != raw.rows:
            raise dg.Failure(
                f"{raw} has {raw.rows:,} rows, but accepted and rejected rows add up to {sum(counts.values()):,} "
                f"({counts}); nothing was written. A rule in {dataset.package}'s cleaning.sql duplicates or drops "
                "rows.",
            )
        commonest = session.fetchall(statements.top_rejection_reasons_sql("rejected_characters", MAX_REASONS))
        reasons = [(str(why)[:MAX_REASON], int(str(rows))) for why, rows in commonest]
        if reasons:
            log.info(f"Rejected, mostly: {_in_words(reasons)}")
        for asset in selected:
            provenance = {"raw_characters": str(raw), **made_of, "read": raw.rows, **counts, REASONS: reasons}
            if asset != "rejected_characters" and counts[asset]:
                [(share,)] = session.fetchall(f"SELECT avg({project.config.target}) FROM {asset}")  # noqa: S608
                provenance[SHARE] = round(float(str(share)), 4)
            yield asset, tables.write_if_changed(session, asset, project.config.qualified(asset), provenance)


def _in_words(reasons: Sequence[tuple[str, int]]) -> str:
    """The most common reasons for rejections, for a log or an error."""
    return "; ".join(f"{rows:,} rows: {escape_control(reason)}" for reason, rows in reasons[:SHOWN])
