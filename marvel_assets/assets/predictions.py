"""What the served model says of a table of characters."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from marvel_assets.assets.code_versions import code_version
from marvel_assets.assets.descriptions import OWNERS, column_schema, log_published, table_metadata
from marvel_assets.assets.freshness import WEEKLY
from marvel_assets.assets.serving import GROUP, custom_model_version
from marvel_assets.references import TableVersion
from marvel_assets.resources.engines.engine import ChangesNotKeptError, Engine, EngineSession
from marvel_assets.resources.project import Project
from marvel_assets.resources.tables import Commit, Published, TableNotFoundError, Tables
from marvel_assets.resources.tracking import MlflowTracking
from marvel_assets.resources.unity_catalog.model_pair import ALIAS
from marvel_assets.resources.unity_catalog.resource import UnityCatalog
from marvel_assets.survival.cleaning import cleaning_statements
from marvel_assets.survival.scoring import (
    PREDICTION_COLUMNS,
    as_if_alive,
    columns_of_other_types,
    missing_columns,
    predictions,
    touched_ids,
    usable,
)

PREDICTIONS = "survival_predictions"
SCORING_VERSION = code_version("marvel_assets.survival.scoring", "marvel_assets.survival.cleaning")
TYPES = {
    **dict.fromkeys(("Height", "Weight"), "double"),
    **dict.fromkeys(("Teams", "Magic", "Mutant"), "integer"),
    **dict.fromkeys(("model_version", "source_version"), "bigint"),
    "scored_at_utc": "timestamp",
}


class ScoringConfig(dg.Config):
    """Who is scored."""

    table: str | None = Field(
        default=None,
        description=(
            "catalog.schema.table of characters as delivered, under the column names of raw_characters; Alive may be "
            "absent. Default: this environment's raw_characters."
        ),
    )


@dg.asset(
    name=PREDICTIONS,
    group_name=GROUP,
    kinds={"deltalake", "table"},
    owners=OWNERS,
    freshness_policy=WEEKLY,
    code_version=SCORING_VERSION,
    io_manager_key="references",
    deps=[custom_model_version],
    automation_condition=dg.AutomationCondition.eager(),
    metadata={"dagster/column_schema": column_schema(PREDICTION_COLUMNS, TYPES)},
)
def survival_predictions(
    context: dg.AssetExecutionContext,
    config: ScoringConfig,
    raw_characters: TableVersion,
    project: Project,
    engine: dg.ResourceParam[Engine],
    tables: Tables,
    tracking: MlflowTracking,
    unity_catalog: UnityCatalog,
) -> dg.MaterializeResult[TableVersion]:
    """Alive or dead, by the custom version under latest-model. Only who is new or has changed is scored again."""
    pair = unity_catalog.pairs(project.config).current()
    if pair is None:
        raise dg.Failure(f"Nothing is under {ALIAS} yet; materialise custom_model_version first.", allow_retries=False)
    table = _table_to_score(config.table, raw_characters, tables)
    name = project.config.qualified(PREDICTIONS)
    head = tables.head(name)
    by = {
        "scored_table": table.name,
        "model": f"{pair.custom.name}/{pair.custom.version}",
        "model_id": pair.custom.model_id,
        "rules": SCORING_VERSION,
    }
    scored = {"scored_version": table.version, "scored_commit": tables.committed_at(table.name, table.version)}
    if head is not None and {**by, **scored}.items() <= head.provenance.items():
        published = Published(head, is_new=False)
    else:
        is_continued = head is not None and by.items() <= head.provenance.items() and _is_still_there(head, tables)
        served = f"models:/{pair.custom.name}/{pair.custom.version}"
        with tracking.files_of(pair.custom.model_id, served) as files, engine.session() as session:
            counts = _score(
                context, session, table, tables, head if is_continued else None, name,
                model=(pair.custom.name, pair.custom.version),
                files=files,
            )  # fmt: skip
            provenance = {**by, **scored, **counts}
            published = tables.publish(session, PREDICTIONS, name, provenance)
    log_published(context, published)
    recorded = published.commit.provenance
    return dg.MaterializeResult(
        value=published.commit.table,
        data_version=dg.DataVersion(published.commit.table.data_version),
        metadata={
            **table_metadata(published, tables),
            "scored_now": recorded["scored"] if published.is_new else 0,
            "unusable": recorded["unusable"],
            "scored_table": f"{table}",
            "model_version": dg.MetadataValue.url(tracking.version_url(pair.custom.name, pair.custom.version)),
        },
    )


def _is_still_there(previous: Commit, tables: Tables) -> bool:
    """Whether the table that was scored last is the one that has that name now."""
    scored = previous.provenance
    committed = tables.committed_at(scored["scored_table"], scored["scored_version"])
    return committed != "" and committed == scored["scored_commit"]


def _table_to_score(wanted: str | None, raw_characters: TableVersion, tables: Tables) -> TableVersion:
    if wanted is None:
        return raw_characters
    head = tables.head(wanted)
    if head is None:
        raise TableNotFoundError(
            f"{wanted}: there is no such table at {tables.location(wanted)}; name one as catalog.schema.table."
        )
    return head.table


def _score(
    context: dg.AssetExecutionContext,
    session: EngineSession,
    table: TableVersion,
    tables: Tables,
    previous: Commit | None,
    name: str,
    *,
    model: tuple[str, int],
    files: Path,
) -> dict[str, int]:
    """Make the relation of all predictions: of ``previous`` what still holds, and the others scored."""
    location = tables.location(table.name)
    session.read_table(location, table.version, "delivered")
    types = {str(row[0]): str(row[1]) for row in session.rows("DESCRIBE delivered")}
    columns = list(types)
    if missing := missing_columns(columns):
        raise dg.Failure(
            f"{table}: column {', '.join(missing)} is missing; a table to be scored has the columns of raw_characters, "
            "of which Alive may be left out.",
            allow_retries=False,
        )
    if other := columns_of_other_types(types):
        raise dg.Failure(
            f"{table}: column {', '.join(other)}, expected text; a table to be scored holds every cell as it was "
            "delivered, as raw_characters does. Cast the column to a string.",
            allow_retries=False,
        )
    touched = None
    if previous is not None:
        try:
            session.read_changes(location, previous.provenance["scored_version"] + 1, table.version, "changes")
            session.query(touched_ids("changes"), "touched")
            session.read_table(tables.location(name), previous.table.version, "previous")
            touched = "touched"
        except ChangesNotKeptError as error:
            context.log.info(f"All characters are scored: {error}")
    statements = cleaning_statements()
    session.define(as_if_alive("delivered", columns, touched), "raw_characters")
    session.define(statements.cleaned_characters, "cleaned_characters")
    session.query(usable(), "to_score")  # none of the columns that only reject
    [(read, scored)] = session.rows("SELECT (SELECT count(*) FROM raw_characters), (SELECT count(*) FROM to_score)")
    context.log.info(f"Scoring {scored:,} characters of {table} with {model[0]} version {model[1]}")
    session.score("to_score", files, "scored")
    session.define(predictions(*model, table.version, touched), PREDICTIONS)
    return {"scored": int(str(scored)), "unusable": int(str(read)) - int(str(scored))}
