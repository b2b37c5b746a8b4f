"""From the source to the cleaned tables."""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from marvel_assets.datasets import descriptions
from marvel_assets.datasets.statements import (
    cleaning_sql,
    cleaning_version,
    digested_source_sql,
    rejected_sql,
    split_sql,
    top_rejection_reasons_sql,
)
from marvel_assets.defs.metadata import (
    FRESHNESS_POLICY,
    OWNERS,
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
from marvel_assets.storage.commits import Commit
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

SOURCE_DIGEST = "source_digest"
"""Digest of the source's content, in the commit and the materialisation of raw_characters."""

SOURCE_FINGERPRINT = "source_fingerprint"
"""The source's fingerprint when it was read, in the materialisation of raw_characters."""

MAX_REASONS, MAX_REASON = 10, 200
"""How many of the most common reasons for rejections are recorded, and how many characters of each."""

SHOWN = 3
"""How many reasons a log line or failure names."""

REASONS = "reasons"
"""Key of a commit's provenance: the reasons for rejections, each with its number of rows."""

ROW_COUNT_CHECK = "accepted_and_rejected_add_up"
CLEANED_TABLES = ("train_set", "test_set", "rejected_characters")


characters_source = dg.AssetSpec(
    "characters_source",
    group_name=GROUP,
    kinds={"csv"},
    owners=OWNERS,
    description="The file, folder, table, URL or generator that `MARVEL_SOURCE` or a run's configuration names.",
)


class RawCharactersConfig(dg.Config):
    """Where the rows of this run come from."""

    source: str | None = Field(
        default=None,
        description=(
            "A CSV or Parquet file, a folder of such files or of a Delta table, an http(s) URL, "
            "kaggle:<owner>/<dataset>, or 'generated'. "
            "Default: that of the sources resource (MARVEL_SOURCE, else the source that was last read). "
            "It is shown with the run: put addresses that contain a password or token in MARVEL_SOURCE."
        ),
    )
    generator_rows: int | None = Field(default=None, ge=1, description="Rows of 'generated'. Default: project.yml.")


@dg.asset(
    group_name=GROUP,
    kinds={"deltalake", "table"},
    owners=OWNERS,
    freshness_policy=FRESHNESS_POLICY,
    code_version=READING_CODE_VERSION,
    io_manager_key="references",
    pool=POOL,
    deps=[characters_source],
    metadata={
        "dagster/column_schema": column_schema(
            descriptions.table_columns(DATASET, "raw_characters"), descriptions.TYPES
        )
    },
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
    if config.generator_rows is not None:
        generator = generator.model_copy(update={"rows": config.generator_rows})
    settings = project.config.model_copy(update={"generator": generator})
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
                session.create_view(digested_source_sql(dataset, "delivered"), "raw_characters")
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


def _cleaned_table(name: str, schema: dg.TableSchema, lineage: dg.TableColumnLineage) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=[raw_characters],
        description=descriptions.TABLES[name],
        group_name=GROUP,
        kinds={"deltalake", "table"},
        owners=OWNERS,
        freshness_policy=FRESHNESS_POLICY,
        code_version=cleaning_version(DATASET),
        skippable=True,
        metadata={"dagster/column_schema": schema, "dagster/column_lineage": lineage},
    ).with_io_manager_key("references")


CHARACTER_COLUMNS = descriptions.table_columns(DATASET, "train_set")
CHARACTER_SCHEMA = column_schema(CHARACTER_COLUMNS, descriptions.column_types(DATASET))
CHARACTER_LINEAGE = column_lineage(CHARACTER_COLUMNS, descriptions.lineage(DATASET), raw_characters.key)


@dg.multi_asset(
    name="characters",
    specs=[
        _cleaned_table("train_set", CHARACTER_SCHEMA, CHARACTER_LINEAGE),
        _cleaned_table("test_set", CHARACTER_SCHEMA, CHARACTER_LINEAGE),
        _cleaned_table(
            "rejected_characters",
            column_schema(descriptions.table_columns(DATASET, "rejected_characters"), descriptions.TYPES),
            column_lineage(DATASET.source_columns.values(), {}, raw_characters.key),
        ),
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
    selected = [key.to_user_string() for key in sorted(context.selected_asset_keys)]
    dataset = project.config.dataset
    made_of = {"raw_content": raw_characters.content, "cleaned_by": cleaning_version(dataset)}
    latest_by_asset = {asset: tables.latest(project.config.qualified(asset)) for asset in selected}
    current = {
        asset: latest
        for asset, latest in latest_by_asset.items()
        if latest and made_of.items() <= latest.provenance.items()
    }
    if current.keys() == latest_by_asset.keys():
        for asset, latest in current.items():
            yield _character_result(context, asset, WriteResult(latest, is_new=False), project, tables, unity_catalog)
        _fail_if_all_rejected(raw_characters, next(iter(current.values())), project, tables)
        return

    context.log.info(f"Cleaning and splitting the {raw_characters.rows:,} rows of {raw_characters}")
    with engine.session() as session:
        session.read_table(tables.location(raw_characters.name), raw_characters.version, "raw_characters")
        session.create_table_as(cleaning_sql(dataset), "cleaned_characters")
        session.create_view(split_sql(dataset, "train"), "train_set")
        session.create_view(split_sql(dataset, "test"), "test_set")
        # Stored: the rejected rows are few, but every raw cell is read to find them.
        session.create_table_as(rejected_sql(dataset), "rejected_characters")
        counts = {
            asset: int(str(session.fetchall(f"SELECT count(*) FROM {asset}")[0][0]))  # noqa: S608
            for asset in CLEANED_TABLES
        }
        if sum(counts.values()) != raw_characters.rows:
            raise dg.Failure(
                f"{raw_characters} has {raw_characters.rows:,} rows, but accepted and rejected rows add up to "
                f"{sum(counts.values()):,} ({counts}); nothing was written. A rule in "
                f"{dataset.package}'s cleaning.sql duplicates or drops rows.",
                allow_retries=False,
            )
        for asset in selected:
            provenance = {"raw_characters": str(raw_characters), **made_of, "read": raw_characters.rows, **counts}
            if asset == "rejected_characters":
                commonest = session.fetchall(top_rejection_reasons_sql(asset, MAX_REASONS))
                provenance[REASONS] = reasons = [(str(why)[:MAX_REASON], int(str(rows))) for why, rows in commonest]
                if reasons:
                    context.log.info(f"Rejected, mostly: {_in_words(reasons)}")
            elif counts[asset]:
                [(share,)] = session.fetchall(f"SELECT avg({project.config.target}) FROM {asset}")  # noqa: S608
                provenance[SHARE] = round(float(str(share)), 4)
            written = tables.write_if_changed(session, asset, project.config.qualified(asset), provenance)
            yield _character_result(context, asset, written, project, tables, unity_catalog)
    _fail_if_all_rejected(raw_characters, written.commit, project, tables)


def _fail_if_all_rejected(raw: TableVersion, commit: Commit, project: Project, tables: Tables) -> None:
    """Fail with the most common reasons if every row was rejected."""
    rejections = tables.latest(project.config.qualified("rejected_characters"))
    if commit.provenance["train_set"] + commit.provenance["test_set"] > 0 or rejections is None:
        return
    if rejections.provenance["raw_content"] != raw.content:
        return  # that table was not selected, and holds other rows
    reasons = _in_words(rejections.provenance.get(REASONS, []))
    raise dg.Failure(
        f"All {raw.rows:,} rows of {raw} were rejected. Most common reasons: {reasons}. {rejections.table} has all "
        "rows, each with its reason.",
        allow_retries=False,
    )


def _in_words(reasons: Sequence[tuple[str, int]]) -> str:
    """The most common reasons for rejections, for a log or an error."""
    return "; ".join(f"{rows:,} rows: {escape_control(reason)}" for reason, rows in reasons[:SHOWN])


def _character_result(
    context: dg.AssetExecutionContext,
    asset: str,
    written: WriteResult,
    project: Project,
    tables: Tables,
    unity_catalog: UnityCatalog,
) -> dg.MaterializeResult[TableVersion]:
    provenance, dataset = written.commit.provenance, project.config.dataset
    metadata = report_table(context.log, asset, written, dataset, tables, unity_catalog)
    counts = {name: provenance[name] for name in CLEANED_TABLES}
    adds_up = dg.AssetCheckResult(
        check_name=ROW_COUNT_CHECK,
        asset_key="rejected_characters",
        passed=provenance["read"] == sum(counts.values()),
        metadata={"read": provenance["read"], **counts},
    )
    at_a_glance = share_metadata(provenance, dataset.target.labels[1])
    if REASONS in provenance:
        at_a_glance = {"reasons": markdown_table(["reason", "rows"], provenance[REASONS])}
    return dg.MaterializeResult(
        asset_key=asset,
        value=written.commit.table,
        data_version=dg.DataVersion(written.commit.table.data_version),
        metadata={**at_a_glance, **metadata, "made_from": provenance["raw_characters"]},
        check_results=[adds_up] if asset == "rejected_characters" else [],
    )
