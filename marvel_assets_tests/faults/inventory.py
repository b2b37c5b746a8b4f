"""What a home holds, in words that are the same for two homes with the same data."""

import hashlib
import json
import re
from collections import Counter
from typing import Any

import dagster as dg
import mlflow
from deltalake import DeltaTable

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_resource import CACHE_KEY
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import BASIC, CUSTOM, TABLES

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
    """Tables, versions, aliases, models, references and files; what is random is left out."""
    client = connect(home.mlflow_uri, home.locks)
    return {
        **_tables(home, config),
        **_registry(client, config, home),
        **_tracking(client),
        **_files(home),
        "dagster runs that seem to go on": _going_on(home),
    }


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What was lost, doubled or changed."""
    return [
        f"{name}: {found.get(name)!r}, undisturbed {expected.get(name)!r}"
        for name in sorted({*expected, *found})
        if found.get(name) != expected.get(name)
    ]


def _tables(home: ProjectPaths, config: ProjectConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in (*TABLES, "survival_predictions"):
        table = DeltaTable(home.warehouse.joinpath(*config.qualified(name).split(".")))
        recorded = [json.loads(entry.get("userMetadata") or "{}") for entry in table.history()]
        found[f"commits of {name}"] = [(entry.get("rows"), entry.get("content")) for entry in recorded]
        rows = table.to_pyarrow_table()
        kept = rows.drop_columns([column for column in TIMES if column in rows.column_names])
        digests = sorted(hashlib.sha256(json.dumps(row, default=str).encode()).hexdigest() for row in kept.to_pylist())
        found[f"rows of {name}"] = (len(digests), hashlib.sha256("".join(digests).encode()).hexdigest())
    return found


def _registry(client: mlflow.MlflowClient, config: ProjectConfig, home: ProjectPaths) -> dict[str, Any]:
    found: dict[str, Any] = {"registered models": sorted(model.name for model in client.search_registered_models())}
    for name in map(config.qualified, (BASIC, CUSTOM)):
        versions = client.search_model_versions(f"name = '{name}'")
        found[f"versions of {name}"] = sorted(
            (int(version.version), version.status, sorted(version.tags), _without_home(version.description or "", home))
            for version in versions
        )
        found[f"aliases of {name}"] = dict(client.get_registered_model(name).aliases)
        found[f"models behind {name}"] = len({version.source for version in versions})
    return found


def _tracking(client: mlflow.MlflowClient) -> dict[str, Any]:
    experiments = client.search_experiments()
    ids = [experiment.experiment_id for experiment in experiments]
    complete = [model for model in client.search_logged_models(ids) if CACHE_KEY in model.tags]
    running = [run.info.run_id for run in client.search_runs(ids) if run.info.status == "RUNNING"]
    return {
        "experiments": sorted(experiment.name for experiment in experiments),
        "complete models": Counter(model.tags[CACHE_KEY] for model in complete if model.name.startswith("lightgbm")),
        "number of complete models": len(complete),
        "what is known of models": sorted(
            (model.name, sorted(model.tags), len(model.metrics or [])) for model in complete
        ),
        "MLflow runs that seem to go on": running,
    }


def _files(home: ProjectPaths) -> dict[str, Any]:
    files = sorted(str(path.relative_to(home.root)) for path in home.root.rglob("*") if path.is_file())
    references = {file.stem: file for file in home.references.glob("*.json")}
    return {
        "files": [_plain(file) for file in files if not MAY_BE_LEFT.search(file)],
        "temporary folders": sorted(
            _plain(str(path.relative_to(home.root)))
            for folder in (home.scratch, home.wheels, home.references, home.pipelines, home.locks / "runs")
            for path in folder.rglob("*")
            if path.is_dir()
        ),
        **{f"reference of {name}": _without_home(file.read_text(), home) for name, file in references.items()},
    }


def _going_on(home: ProjectPaths) -> list[str]:
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        statuses = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.CANCELING]
        return [f"{run.job_name} {run.status.value}" for run in instance.get_runs(dg.RunsFilter(statuses=statuses))]


def _without_home(text: str, home: ProjectPaths) -> str:
    return _plain(text.replace(str(home.root), "home"))


def _plain(text: str) -> str:
    return RANDOM.sub("*", text)
