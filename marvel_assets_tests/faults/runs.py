"""Runs that can be killed at a chosen boundary, and what a home contains after them."""

import hashlib
import json
import os
import random
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_resource import CACHE_KEY
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import BASIC, CUSTOM, TABLES, python

KILLER = Path(__file__).with_name("killer")
WITHIN_SECONDS = (0.0005, 0.002, 0.005, 0.01, 0.03, 0.1)
"""How long the action lasts before the process dies within it (or within what follows)."""

MATERIALIZE = ("-m", "dagster", "asset", "materialize", "-m", "marvel_assets.definitions", "--select", "*")
PREPARE = ("-m", "marvel_assets.paths")


class Moment(NamedTuple):
    """When a process dies: before, after or within the n-th passing of a boundary; see the killer."""

    boundary: str
    occurrence: int
    when: str
    seconds: float = 0.0


def run(
    home: ProjectPaths,
    moment: Moment | None = None,
    record: Path | None = None,
    command: Sequence[str] = MATERIALIZE,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """A command in another process, which dies at the moment or records its boundaries."""
    if plan := moment._asdict() if moment else {"record": str(record)} if record else {}:
        path = os.pathsep.join(filter(None, [str(KILLER), os.environ.get("PYTHONPATH")]))
        environment |= {"KILLER": json.dumps(plan), "PYTHONPATH": path}
    return python(*command, MARVEL_HOME=str(home.root), DAGSTER_HOME=str(home.dagster), **environment)


def spread(boundaries: Sequence[str], landmarks: Mapping[str, str], amount: int) -> list[Moment]:
    """The landmarks first, then moments at a seeded choice of the other boundaries."""
    draw, passed = random.Random(616), Counter(boundaries)  # noqa: S311 - can be repeated
    assert passed.keys() >= landmarks.keys(), f"the undisturbed run passed {[*passed]}"
    others = [name for name in passed if name not in landmarks]
    draw.shuffle(others)
    chosen = [Moment(name, 1, when, draw.choice(WITHIN_SECONDS)) for name, when in landmarks.items()]
    for name, when in zip(others, cycle(("before", "within", "after"))):
        possible = "within" if name.startswith("open ") and when == "after" else when
        chosen.append(Moment(name, draw.randint(1, passed[name]), possible, draw.choice(WITHIN_SECONDS)))
    assert len(chosen) >= amount, f"an undisturbed run passes {len(chosen)} boundaries"
    return chosen[:amount]


RANDOM = re.compile(r"m-[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\b[0-9a-f]{32}\b")
"""Ids of models and runs."""

TIMES = ("update_timestamp_utc", "scored_at_utc")
MAY_BE_LEFT = re.compile(
    r"mlflow/artifacts/"  # models and runs that were not finished: without a cache key, never found again
    r"|warehouse/"  # Parquet files that no commit names, which VACUUM takes; commits are compared one by one
    r"|dagster/(history|storage)/"  # Dagster's record of each run
    r"|locks/[^/]*\.lock$|mlflow/mlflow\.db-|dagster/.*\.db-"  # locks are kept; SQLite's own files
)
"""Files of which there may be more after a kill."""


def inventory(home: ProjectPaths, config: ProjectConfig) -> dict[str, Any]:
    """Tables, versions, aliases, models, references and files, without what is random."""

    def plain(text: str) -> str:
        return RANDOM.sub("*", text.replace(str(home.root), "home"))

    found: dict[str, Any] = {}
    for name in (*TABLES, "survival_predictions"):
        table = DeltaTable(home.warehouse.joinpath(*config.qualified(name).split(".")))
        recorded = [json.loads(entry.get("userMetadata") or "{}") for entry in table.history()]
        found[f"commits of {name}"] = [(entry.get("rows"), entry.get("content")) for entry in recorded]
        columns = [column.name for column in table.schema().fields if column.name not in TIMES]
        rows = sorted(map(str, table.to_pyarrow_table(columns=columns).to_pylist()))
        found[f"rows of {name}"] = (len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest())

    client = connect(home.mlflow_uri, home.locks)
    found["registered models"] = sorted(model.name for model in client.search_registered_models())
    for name in map(config.qualified, (BASIC, CUSTOM)):
        found[f"versions of {name}"] = sorted(
            (int(version.version), version.status, sorted(version.tags), plain(version.description or ""))
            for version in client.search_model_versions(f"name = '{name}'")
        )
        found[f"aliases of {name}"] = dict(client.get_registered_model(name).aliases)

    experiments = {experiment.experiment_id: experiment.name for experiment in client.search_experiments()}
    found["experiments"] = sorted(experiments.values())
    found["complete models"] = sorted(
        (model.name, sorted(model.tags), len(model.metrics or []))
        for model in client.search_logged_models([*experiments])
        if CACHE_KEY in model.tags
    )
    mlflow_runs = client.search_runs([*experiments])
    found["MLflow runs left running"] = [run for run in mlflow_runs if run.info.status == "RUNNING"]
    unfinished = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        left = instance.get_runs(dg.RunsFilter(statuses=unfinished))
    found["Dagster runs left running"] = [run.job_name for run in left]

    found |= {f"reference {file.stem}": plain(file.read_text()) for file in home.references.glob("*.json")}
    paths = (str(path.relative_to(home.root)) for path in home.root.rglob("*"))
    found["paths"] = sorted(RANDOM.sub("*", path) for path in paths if not MAY_BE_LEFT.search(path))
    return found
