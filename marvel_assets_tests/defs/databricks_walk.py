"""What a user of the databricks profile does, one step after the other.

It runs in its own process, in the environment of Databricks Connect if there is one, and prints one line of JSON
for each step.
"""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.defs.resources import Project, profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.spark.session import Spark
from marvel_assets.storage.engines.spark import SparkEngine
from marvel_assets.storage.tables import CatalogTables
from marvel_assets_tests.graph import metadata_of, run_graph, run_job, succeeded, work_of


def resources_of(home: ProjectPaths) -> dict[str, Any]:
    """Those of the profile; where its client is not installed, with Spark's client, which speaks the same protocol."""
    made = profile_resources(home)
    if find_spec("databricks.connect"):
        return made
    kept = {"folder": str(home.spark), "settings": made["spark"].settings}
    session = Spark(mode="connect", url=os.environ["SPARK_REMOTE"], **kept)
    tables = CatalogTables(spark=session, warehouse="", locks=str(home.locks), provenance=str(home.provenance))
    return made | {"spark": session, "engine": SparkEngine(spark=session), "tables": tables}


def walk(home: ProjectPaths, folder: Path, until: str) -> None:
    """The whole graph; until "rollback" also an unchanged run, scores over the change feed and a retraining."""
    config, spark = Project.from_environment().config, resources_of(home)["spark"]
    schema = f"{config.catalog_name}.{config.schema_name}"
    spark.session().sql(f"CREATE SCHEMA IF NOT EXISTS {schema} LOCATION '{folder / 'catalog'}'")
    with dg.DagsterInstance.ephemeral() as instance:

        def run(source: Path | None = None, select: str = "*") -> dg.ExecuteInProcessResult:
            return succeeded(run_graph(home, source, instance, select=select, resources=resources_of(home)))

        _print("graph", scored=metadata_of(run(), "survival_predictions")["scored_now"])
        if until == "graph":
            return

        _print("unchanged", work=work_of(run(), instance))

        rows = generate(1500, 7)
        rows.loc[:9, "Universe"] = "Earth-1610"
        rows.to_csv(source := folder / "characters.csv", index=False)
        scored = run(source, "raw_characters,survival_predictions")
        _print("score", scored=metadata_of(scored, "survival_predictions")["scored_now"])

        generate(2000, 8).to_csv(source, index=False)
        run(source)
        _print("retrained", served=_served(home))

        reason = "it was a test"
        succeeded(run_job(home, "rollback", "rollback_models", instance, resources_of(home), reason=reason))
        _print("rollback", served=_served(home))


def _served(home: ProjectPaths) -> list[int]:
    pair = profile_resources(home)["unity_catalog"].pairs(Project.from_environment().config).current()
    return [pair.basic.version, pair.custom.version]


def _print(step: str, **found: Any) -> None:
    sys.stdout.write(json.dumps({"step": step, **found}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    walk(ProjectPaths.from_environment(), Path(sys.argv[1]), sys.argv[2])
