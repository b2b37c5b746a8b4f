"""Making and reading tables, over what pandas and pyarrow need for the same rows."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from benchmarks.characters import MILLION
from benchmarks.graph import ROWS, fresh_home
from benchmarks.measuring import compare, timed
from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.datasets.statements import digested_source_sql
from marvel_assets.defs.ingestion.assets import characters
from marvel_assets.defs.resources import embedded
from marvel_assets.sources.resource import locate
from marvel_assets.training.dataset import dataset_columns, to_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from marvel_assets.paths import ProjectPaths
    from marvel_assets.storage.references import TableVersion
    from marvel_assets.storage.tables import Tables


def cleaning() -> Iterator[str]:
    """The multi-asset: from the raw table to train, test and rejected, each committed."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder, fresh_home(ROWS) as (home, environment):
        resources, raw = with_raw_table(home, Path(environment["MARVEL_SOURCE"]))

        def read_and_write_once() -> None:
            pd.read_csv(environment["MARVEL_SOURCE"]).to_parquet(Path(folder, "characters.parquet"))

        compared = compare(timed(lambda: clean(home, resources, raw)), timed(read_and_write_once), rounds=9)
    yield compared.row(
        f"cleaning, split and three Delta tables, {ROWS:,} rows / pandas: read the CSV, write Parquet", 1.0
    )


def with_raw_table(home: ProjectPaths, source: Path) -> tuple[dict[str, Any], TableVersion]:
    """The embedded resources, and the raw table that was made of a source."""
    resources = embedded(home)
    name = resources["project"].config.qualified("raw_characters")
    with resources["engine"].session() as session:
        session.read_source(locate(str(source), home.root, DATASET, Generator()), "delivered")
        session.create_view(digested_source_sql(DATASET, "delivered"), "raw_characters")
        written = resources["tables"].write_if_changed(session, "raw_characters", name, {})
    return resources, written.table


@cache
def instance() -> dg.DagsterInstance:
    """What a run has when the asset begins; to make it takes a tenth of a second."""
    return dg.DagsterInstance.ephemeral()


def clean(home: ProjectPaths, resources: dict[str, Any], raw: TableVersion) -> dict[str, TableVersion]:
    """Run the asset's own code on the raw table, with no cleaned table there before."""
    for asset in ("train_set", "test_set", "rejected_characters"):
        shutil.rmtree(
            home.warehouse.joinpath(*resources["project"].config.qualified(asset).split(".")), ignore_errors=True
        )
    needed = {name: resources[name] for name in ("project", "engine", "tables", "unity_catalog", "retraining_lock")}
    context = dg.build_asset_context(instance=instance())
    results: Iterable[dg.MaterializeResult[TableVersion]] = characters(context, raw_characters=raw, **needed)  # type: ignore[assignment]
    return {result.asset_key.path[-1]: result.value for result in results if result.asset_key is not None}


def rows_of(resources: dict[str, Any], table: TableVersion) -> pd.DataFrame:
    """A table's features and target, as a fit reads them."""
    config = resources["project"].config
    read = resources["tables"].read(table, dataset_columns(config.features, config.target))
    return to_frame(read, config.features, config.target)


def pinned_read() -> Iterator[str]:
    """The rows of one version, as the fit reads them."""
    from pyarrow import parquet

    with fresh_home(MILLION) as (home, environment):
        resources, raw = with_raw_table(home, Path(environment["MARVEL_SOURCE"]))
        train_set = clean(home, resources, raw)["train_set"]
        columns = dataset_columns(list(DATASET.by_name), DATASET.target.name)
        tables: Tables = resources["tables"]
        files = sorted(Path(tables.location(train_set.name)).glob("*.parquet"))
        compared = compare(
            timed(lambda: tables.read(train_set, columns)),
            timed(lambda: [parquet.read_table(file, columns=columns) for file in files]),
            rounds=9,
        )
    yield compared.row(f"pinned read for training of {MILLION:,} characters / pyarrow on the same files", 1.5)
