"""What the cleaned tables promise."""

from typing import Literal

import dagster as dg

from marvel_assets.datasets.marvel_kaggle.contract import broken_promises
from marvel_assets.storage.engines.base import Engine
from marvel_assets.storage.references import TableVersion
from marvel_assets.storage.tables import Tables

CONTRACT = "keeps_the_contract"


@dg.asset_check(
    asset="train_set",
    name=CONTRACT,
    blocking=True,
    description="Ids are unique and belong here by their hash; columns hold only what the data contract names.",
)
def train_set_keeps_the_contract(
    train_set: TableVersion, engine: dg.ResourceParam[Engine], tables: Tables
) -> dg.AssetCheckResult:
    """Look at every row of the version, where the rows are."""
    return _verdict(train_set, engine, tables, "train")


@dg.asset_check(
    asset="test_set",
    name=CONTRACT,
    blocking=True,
    description="Ids are unique and belong here by their hash; columns hold only what the data contract names.",
)
def test_set_keeps_the_contract(
    test_set: TableVersion, engine: dg.ResourceParam[Engine], tables: Tables
) -> dg.AssetCheckResult:
    """Look at every row of the version, where the rows are."""
    return _verdict(test_set, engine, tables, "test")


def _verdict(
    table: TableVersion, engine: Engine, tables: Tables, split: Literal["train", "test"]
) -> dg.AssetCheckResult:
    with engine.session() as session:
        session.read_table(tables.location(table.name), table.version, "cleaned")
        broken = broken_promises(session.rows, "cleaned", split)
    return dg.AssetCheckResult(
        passed=not broken,
        description="; ".join(broken) or f"{table.rows:,} rows of {table} keep the contract.",
        metadata={"rows": table.rows, "table": str(table)},
    )
