"""From the source to the cleaned tables, and their checks."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from marvel_assets.datasets import descriptions, statements
from marvel_assets.datasets.base import Dataset
from marvel_assets.defs.metadata import DATASET, POSITIVE_SHARE, markdown_table, report_table, table_schema
from marvel_assets.defs.resources import Project, prepare_run
from marvel_assets.defs.retraining_lock import POOL, RetrainingLock
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.sources.resource import EXPECTED, SourceResource
from marvel_assets.storage.engines.base import Engine, EngineSession
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.tables import Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.utils.code_versions import code_version, make_cache_key
from marvel_assets.utils.redaction import escape_control

GROUP = "ingestion"
READING_CODE_VERSION = code_version("marvel_assets.sources.files", "marvel_assets.sources.delta")
SOURCE_FINGERPRINT = "source_fingerprint"  # metadata of raw_characters: the source's fingerprint when it was read
REASONS, MAX_REASONS = "reasons", 10
"""Key of a commit's provenance: the most common reasons for rejections, each with its number of rows."""

CLEANED_TABLES = ("train_set", "test_set", "rejected_characters")
CLEANING_CODE_VERSION = statements.cleaning_version(DATASET)

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
        description=f"{EXPECTED}. Default: MARVEL_SOURCE, else the source that was last read. It is shown with the "
        "run: put addresses that contain a password or token in MARVEL_SOURCE.",
    )
    generator_rows: int | None = Field(
        default=None, ge=1, description="How many rows to generate. Default: project.yml."
    )


@dg.asset(
    group_name=GROUP,
    kinds={"deltalake", "table"},
    code_version=READING_CODE_VERSION,
    io_manager_key="references",
    pool=POOL,
    deps=[characters_source],
    metadata={"dagster/column_schema": table_schema("raw_characters")},
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
    prepare_run(project.config, engine, tracking, unity_catalog)
    settings, dataset = project.config, project.config.dataset
    if config.generator_rows:
        generator = settings.generator.model_copy(update={"rows": config.generator_rows})
        settings = settings.model_copy(update={"generator": generator})
    fingerprint = sources.fingerprint(config.source, settings)
    with sources.located(config.source, settings) as source:
        reader = make_cache_key(READING_CODE_VERSION, dataset.source_columns, dataset.encoding)
        inputs, name = {"source_digest": source.digest, "read_by": reader}, settings.qualified("raw_characters")
        written = tables.latest(name)
        if written is None or not inputs.items() <= written.provenance.items():
            context.log.info(f"Reading {source.label}")
            with engine.session() as session:
                session.read_source(source, "delivered")
                session.create_view(statements.digested_source_sql(dataset, "delivered"), "raw_characters")
                provenance = {"source": source.label, **inputs}
                written = tables.write_if_changed(session, "raw_characters", name, provenance)
        metadata = report_table(context.log, "raw_characters", written, dataset, tables, unity_catalog)
        return dg.MaterializeResult(
            value=written.table,
            data_version=dg.DataVersion(written.table.content),
            metadata={**metadata, "source": source.label, SOURCE_FINGERPRINT: fingerprint},
        )


def _cleaned_table(name: str) -> dg.AssetSpec:
    delivered = {column: column for column in DATASET.source_columns.values()}
    sources = delivered if name == "rejected_characters" else descriptions.lineage(DATASET)
    lineage = {column: [dg.TableColumnDep(raw_characters.key, source)] for column, source in sources.items()}
    return dg.AssetSpec(
        name,
        deps=[raw_characters],
        description=descriptions.TABLES[name],
        group_name=GROUP,
        kinds={"deltalake", "table"},
        code_version=CLEANING_CODE_VERSION,
        skippable=True,
        metadata={
            "dagster/column_schema": table_schema(name),
            "dagster/column_lineage": dg.TableColumnLineage(lineage),
        },
    ).with_io_manager_key("references")


@dg.multi_asset(specs=[_cleaned_table(name) for name in CLEANED_TABLES], can_subset=True, pool=POOL)
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
    raw, dataset, qualified = raw_characters, project.config.dataset, project.config.qualified
    selected = sorted(key.to_user_string() for key in context.selected_asset_keys)
    inputs = {"raw_content": raw.content, "cleaned_by": statements.cleaning_version(dataset)}
    written = {}
    for asset in selected:
        latest = tables.latest(qualified(asset))
        if latest is not None and inputs.items() <= latest.provenance.items():
            written[asset] = latest
    if len(written) < len(selected):
        context.log.info(f"Cleaning and splitting the {raw.rows:,} rows of {raw}")
        with engine.session() as session:
            session.read_table(tables.location(raw.name), raw.version, "raw_characters")
            cleaned = _clean(session, dataset, raw)
            if cleaned[REASONS]:
                context.log.info(f"Rejected, mostly: {_describe_reasons(cleaned[REASONS])}")
            for asset in selected:
                provenance = {"raw_characters": str(raw), **inputs, **cleaned}
                if asset != "rejected_characters" and cleaned[asset]:
                    [(share,)] = session.fetchall(f"SELECT avg({dataset.target.name}) FROM {asset}")  # noqa: S608
                    provenance[POSITIVE_SHARE] = round(share, 4)
                written[asset] = tables.write_if_changed(session, asset, qualified(asset), provenance)
    for asset, commit in written.items():
        table, provenance = commit.table, commit.provenance
        metadata = report_table(context.log, asset, commit, dataset, tables, unity_catalog)
        metadata["made_from"] = provenance["raw_characters"]
        if asset == "rejected_characters":
            metadata["reasons"] = markdown_table(["reason", "rows"], provenance[REASONS])
        version = dg.DataVersion(table.content)
        yield dg.MaterializeResult(asset_key=asset, value=table, data_version=version, metadata=metadata)
    if not provenance["train_set"] + provenance["test_set"]:
        raise dg.Failure(
            f"All {raw.rows:,} rows of {raw} were rejected. Most common reasons: "
            f"{_describe_reasons(provenance[REASONS])}. rejected_characters has all rows, each with its reason."
        )


def _clean(session: EngineSession, dataset: Dataset, raw: TableVersion) -> dict[str, Any]:
    """Create the three relations; returns their numbers of rows, and the reasons for rejections."""
    session.create_table_as(statements.cleaning_sql(dataset), "cleaned_characters")
    session.create_view(statements.split_sql(dataset, "train"), "train_set")
    session.create_view(statements.split_sql(dataset, "test"), "test_set")
    # Stored: the rejected rows are few, but every raw cell is read to find them.
    session.create_table_as(statements.rejected_sql(dataset), "rejected_characters")
    counts = {asset: session.fetchall(f"SELECT count(*) FROM {asset}")[0][0] for asset in CLEANED_TABLES}  # noqa: S608
    if (total := sum(counts.values())) != raw.rows:
        raise dg.Failure(
            f"{raw} has {raw.rows:,} rows, but accepted and rejected rows add up to {total:,} ({counts}); nothing was "
            f"written. A rule in {dataset.package}'s cleaning.sql duplicates or drops rows."
        )
    top = f"SELECT reason, count(*) FROM rejected_characters GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MAX_REASONS}"  # noqa: S608
    return {"read": raw.rows, **counts, REASONS: session.fetchall(top)}


def _describe_reasons(reasons: Sequence[tuple[str, int]]) -> str:
    return "; ".join(f"{rows:,} rows: {escape_control(reason)}" for reason, rows in reasons[:3])


@dg.asset_check(
    asset="raw_characters",
    description="Most non-empty cells of the numeric columns are plain decimal numbers, such as 1.85.",
)
def numbers_are_readable(
    raw_characters: TableVersion, project: Project, engine: dg.ResourceParam[Engine], tables: Tables
) -> dg.AssetCheckResult:
    """Warn if most cells of a column can't be read, for example because of decimal commas, units or separators."""
    problems, dataset = [], project.config.dataset
    with engine.session() as session:
        session.read_table(tables.location(raw_characters.name), raw_characters.version, "raw_characters")
        for feature in (dataset.by_name[name] for name in dataset.numeric_features):
            [(cells, unreadable, example)] = session.fetchall(statements.unreadable_numbers_sql(dataset, feature))
            if unreadable > cells / 2:
                problems.append(
                    f"{dataset.delivered_names[feature.source]}: {unreadable:,} of the {cells:,} non-empty cells are "
                    f"not plain decimal numbers and count as missing, such as {escape_control(repr(example))}; "
                    "expected a form such as 1.85"
                )
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(problems)
        or f"Most non-empty cells of each numeric column of {raw_characters} are numbers.",
    )


def _contract_check(split: Literal["train", "test"]) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=f"{split}_set",
        name="keeps_the_contract",
        blocking=True,
        description="Ids are unique and in the right split; columns hold only what the data contract allows.",
    )
    def keeps_the_contract(
        table: TableVersion, project: Project, engine: dg.ResourceParam[Engine], tables: Tables
    ) -> dg.AssetCheckResult:
        with engine.session() as session:
            session.read_table(tables.location(table.name), table.version, "cleaned")
            violations = statements.contract_violations(project.config.dataset, session.fetchall, "cleaned", split)
        description = "; ".join(violations) or f"{table.rows:,} rows of {table} keep the contract."
        return dg.AssetCheckResult(passed=not violations, description=description)

    return keeps_the_contract


train_set_keeps_the_contract, test_set_keeps_the_contract = _contract_check("train"), _contract_check("test")
