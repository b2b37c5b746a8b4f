"""What a user of the databricks profile does, one step after the other, in the environment of the real client.

It is run by that environment's Python, in a process of its own, and prints one line of JSON for each step.
"""

import json
import sys
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.defs.resources import Project, profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import metadata_of, run_graph, run_job, succeeded, work_of


def walk(home: ProjectPaths, folder: Path, until: str) -> None:
    """The whole graph; until "rollback" also an unchanged run, scores over the change feed and a retraining."""
    config, spark = Project.from_environment().config, profile_resources(home)["spark"]
    schema = f"{config.catalog_name}.{config.schema_name}"
    spark.session().sql(f"CREATE SCHEMA IF NOT EXISTS {schema} LOCATION '{folder / 'catalog'}'")
    with dg.DagsterInstance.ephemeral() as instance:
        first = succeeded(run_graph(home, instance=instance))
        _print("graph", scored=metadata_of(first, "survival_predictions")["scored_now"])
        if until == "graph":
            return

        unchanged = succeeded(run_graph(home, instance=instance))
        _print("unchanged", work=work_of(unchanged, instance))

        rows = generate(1500, 7)
        rows.loc[:9, "Universe"] = "Earth-1610"
        rows.to_csv(source := folder / "characters.csv", index=False)
        scored = succeeded(run_graph(home, source, instance, select="raw_characters,survival_predictions"))
        _print("score", scored=metadata_of(scored, "survival_predictions")["scored_now"])

        generate(2000, 8).to_csv(source, index=False)
        succeeded(run_graph(home, source, instance))
        _print("retrained", served=_served(home))

        succeeded(run_job(home, "rollback", "rollback_models", instance, reason="it was a test"))
        _print("rollback", served=_served(home))


def _served(home: ProjectPaths) -> list[int]:
    resources = profile_resources(home)
    pair = resources["unity_catalog"].pairs(resources["project"].config).current()
    return [pair.basic.version, pair.custom.version]


def _print(step: str, **found: Any) -> None:
    sys.stdout.write(json.dumps({"step": step, **found}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    walk(ProjectPaths.from_environment(), Path(sys.argv[1]), sys.argv[2])
