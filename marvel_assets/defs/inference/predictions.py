"""The served model's predictions for a table of characters."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from marvel_assets.datasets import scoring
from marvel_assets.datasets.base import SOURCE_ROW, Dataset
from marvel_assets.datasets.statements import cleaning_sql, text
from marvel_assets.defs.metadata import DATASET, POSITIVE_SHARE, report_table, table_schema
from marvel_assets.defs.registration.assets import served_pair
from marvel_assets.defs.resources import Project
from marvel_assets.registry.resource import UnityCatalog
from marvel_assets.storage.engines.base import ChangesNotKeptError, Engine, EngineSession
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.table_scan import TableNotFoundError
from marvel_assets.storage.tables import Commit, Tables
from marvel_assets.tracking.mlflow_resource import MlflowTracking

PREDICTIONS = "survival_predictions"
BOTH_ANSWERS = "gives_both_answers"


@dg.asset(
    name=PREDICTIONS,
    group_name="serving",
    kinds={"deltalake", "table"},
    code_version=scoring.scoring_version(DATASET),
    io_manager_key="references",
    deps=["custom_model_version"],
    automation_condition=dg.AutomationCondition.eager(),
    metadata={"dagster/column_schema": table_schema(PREDICTIONS)},
    check_specs=[dg.AssetCheckSpec(BOTH_ANSWERS, asset=PREDICTIONS, description="Not every row gets the same answer.")],
)
def survival_predictions(
    context: dg.AssetExecutionContext,
    raw_characters: TableVersion,
    project: Project,
    engine: dg.ResourceParam[Engine],
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> Iterator[dg.MaterializeResult[TableVersion]]:
    """Batch predictions from the custom model at alias `latest-model`. Only new or changed characters are re-scored."""
    name, label = project.config.qualified(PREDICTIONS), project.config.dataset.target.labels[1]
    commit, metadata = _predict(context.log, raw_characters, name, project, engine, tables, tracking, unity_catalog)
    share = commit.provenance.get(POSITIVE_SHARE)
    check = dg.AssetCheckResult(
        check_name=BOTH_ANSWERS,
        passed=share is not None and 0 < share < 1,
        severity=dg.AssetCheckSeverity.WARN,
        description="No row could be scored." if share is None else f"{share:.2%} of the predictions are {label!r}.",
    )
    version = dg.DataVersion(commit.table.content)
    yield dg.MaterializeResult(value=commit.table, data_version=version, metadata=metadata, check_results=[check])


def _predict(
    log: dg.DagsterLogManager,
    table: TableVersion,
    name: str,
    project: Project,
    engine: Engine,
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> tuple[Commit, dict[str, Any]]:
    """Bring the predictions for a table of characters as delivered up to date; returns their commit and metadata."""
    custom = served_pair(unity_catalog.pairs(project.config)).custom
    latest, dataset = tables.latest(name), project.config.dataset
    inputs = {
        "scored_table": table.name,
        "scored_table_id": tables.table_id(table.name),
        "model_id": custom.model_id,
        **scoring.scoring_provenance(dataset, custom.name, custom.version),
    }
    previous = latest if latest is not None and inputs.items() <= latest.provenance.items() else None
    if previous is not None and previous.provenance["scored_version"] == table.version:
        written, scored = previous, 0
    else:
        with unity_catalog.files_of(custom) as files, engine.session() as session:
            only_changed = _read_rows_to_score(session, table, tables, previous, dataset)
            [(read, scored)] = session.fetchall(
                "SELECT (SELECT count(*) FROM delivered), (SELECT count(*) FROM to_score)"
            )
            log.info(f"Scoring {scored:,} rows of {table} with {custom.name} version {custom.version}")
            session.score("to_score", files, "scored")
            made_by = custom.name, custom.version, table.version
            session.create_view(scoring.predictions_sql(dataset, *made_by, only_changed=only_changed), "predictions")
            is_second = f"CASE WHEN prediction = {text(dataset.target.labels[1])} THEN 1 ELSE 0 END"
            [(predicted, share)] = session.fetchall(f"SELECT count(*), avg({is_second}) FROM predictions")  # noqa: S608
            provenance = {**inputs, "scored_version": table.version, "scored": scored, "unusable": read - predicted}
            if share is not None:
                provenance[POSITIVE_SHARE] = round(float(share), 6)
            written = tables.write_if_changed(session, "predictions", name, provenance)
    metadata = {
        **report_table(log, PREDICTIONS, written, dataset, tables, unity_catalog),
        "scored_now": scored,
        "unusable": written.provenance["unusable"],
        "scored_table": str(table),
        "model_version": dg.MetadataValue.url(tracking.version_url(custom.name, custom.version)),
    }
    return written, metadata


def _read_rows_to_score(
    session: EngineSession, table: TableVersion, tables: Tables, previous: Commit | None, dataset: Dataset
) -> bool:
    """Create the relation ``to_score``; returns whether it has only the rows that changed since ``previous``."""
    location, required = tables.location(table.name), scoring.required_columns(dataset)
    session.read_table(location, table.version, "delivered")
    types = {row[0]: row[1].upper() for row in session.fetchall("DESCRIBE delivered")}
    # Numbers as texts differ between engines.
    if wrong := [name for name in required if types.get(name) not in {"VARCHAR", "STRING"}]:
        found = ", ".join(f"{name} ({types.get(name, 'missing')})" for name in wrong)
        raise dg.Failure(
            f"{table}: column {found}, expected text; a table to be scored has {', '.join(required)}, each cell as it "
            "was delivered, as in raw_characters. Add the column, or cast it to a string."
        )
    only_changed = previous is not None
    if previous is not None:
        try:
            session.read_changes(location, previous.provenance["scored_version"] + 1, table.version, "changes")
            session.create_table_as(scoring.changed_ids_sql(dataset), "changed_ids")
            session.read_table(tables.location(previous.table.name), previous.table.version, "previous")
        except ChangesNotKeptError as error:
            only_changed = False
            dg.get_dagster_logger().info(f"Scoring all rows: {error}")
    numbered = SOURCE_ROW in types
    rows = scoring.rows_to_score_sql(dataset, "delivered", numbered=numbered, only_changed=only_changed)
    session.create_view(rows, "raw_characters")  # the name that the cleaning statement reads
    session.create_view(cleaning_sql(dataset), "cleaned_characters")
    session.create_table_as(scoring.scorable_rows_sql(dataset), "to_score")
    return only_changed


class ScoreConfig(dg.Config):
    """The table to score."""

    table: str = Field(description="catalog.schema.table, with the columns of raw_characters that rules use.")


@dg.op
def score_table(
    context: dg.OpExecutionContext,
    config: ScoreConfig,
    project: Project,
    engine: dg.ResourceParam[Engine],
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> None:
    """Bring the predictions for one table up to date, as survival_predictions does for raw_characters."""
    latest = tables.latest(config.table)
    if latest is None:
        raise TableNotFoundError(
            f"{config.table}: there is no such table at {tables.location(config.table)}; expected catalog.schema.table."
        )
    name = f"{config.table}_predictions"
    _, metadata = _predict(context.log, latest.table, name, project, engine, tables, tracking, unity_catalog)
    context.log_event(dg.AssetMaterialization(name.split("."), metadata=metadata))


@dg.job(description="Score a table with the served model, into <table>_predictions beside it.")
def score() -> None:
    """The predictions for raw_characters are an asset, survival_predictions."""
    score_table()
