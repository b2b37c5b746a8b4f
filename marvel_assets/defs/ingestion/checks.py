"""Checks of the raw and the cleaned tables."""

from typing import Literal

import dagster as dg

from marvel_assets.datasets.statements import contract_violations, unreadable_numbers_sql
from marvel_assets.defs.resources import Project
from marvel_assets.storage.engines.base import Engine
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.tables import Tables
from marvel_assets.utils.redaction import escape_control


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
            count_sql, examples_sql = unreadable_numbers_sql(dataset, feature, examples=3)
            [(cells, unreadable)] = session.fetchall(count_sql)
            if unreadable > cells / 2:
                examples = ", ".join(escape_control(repr(cell)) for (cell,) in session.fetchall(examples_sql))
                problems.append(
                    f"{dataset.delivered_names[feature.source]}: {unreadable:,} of the {cells:,} non-empty cells are "
                    f"not plain decimal numbers and count as missing, such as {examples}; expected a form such as 1.85"
                )
    return dg.AssetCheckResult(
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(problems) or f"The numbers of {raw_characters} can be read.",
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
            violations = contract_violations(project.config.dataset, session.fetchall, "cleaned", split)
        description = "; ".join(violations) or f"{table.rows:,} rows of {table} keep the contract."
        return dg.AssetCheckResult(passed=not violations, description=description)

    return keeps_the_contract


train_set_keeps_the_contract, test_set_keeps_the_contract = _contract_check("train"), _contract_check("test")
