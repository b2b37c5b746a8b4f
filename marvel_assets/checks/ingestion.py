"""What the cleaned tables promise."""

from typing import Literal

import dagster as dg

from marvel_assets.references import TableVersion
from marvel_assets.resources.tables import Tables
from marvel_assets.survival.contract import CONTRACT_COLUMNS, broken_promises

CONTRACT = "keeps_the_contract"


@dg.asset_check(
    asset="train_set",
    name=CONTRACT,
    blocking=True,
    description="Ids are unique and belong here by their hash; columns hold only what the data contract names.",
)
def train_set_keeps_the_contract(train_set: TableVersion, tables: Tables) -> dg.AssetCheckResult:
    """Read the version and look at every row."""
    return _verdict(train_set, tables, "train")


@dg.asset_check(
    asset="test_set",
    name=CONTRACT,
    blocking=True,
    description="Ids are unique and belong here by their hash; columns hold only what the data contract names.",
)
def test_set_keeps_the_contract(test_set: TableVersion, tables: Tables) -> dg.AssetCheckResult:
    """Read the version and look at every row."""
    return _verdict(test_set, tables, "test")


def _verdict(table: TableVersion, tables: Tables, split: Literal["train", "test"]) -> dg.AssetCheckResult:
    broken = broken_promises(tables.read(table, CONTRACT_COLUMNS), split)
    return dg.AssetCheckResult(
        passed=not broken,
        description="; ".join(broken) or f"{table.rows:,} rows of {table} keep the contract.",
        metadata={"rows": table.rows, "table": str(table)},
    )
