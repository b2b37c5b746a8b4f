"""Assets that log to MLflow, for runs in other processes; they find their home by MARVEL_HOME."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.tracking.mlflow_resource import MlflowTracking
from marvel_assets.tracking.run_tags import RunTags

BASIC, CUSTOM = "/Shared/basic", "/Shared/custom"
SECONDS_TO_WAIT = 120


def tracking_of(home: ProjectPaths) -> MlflowTracking:
    return MlflowTracking(
        tracking_uri=home.mlflow_uri,
        artifact_root=str(home.mlflow_artifacts),
        locks=str(home.locks),
    )


def log(context: dg.AssetExecutionContext, tracking: MlflowTracking, experiment: str = BASIC) -> None:
    """Log a metric under the asset's own name."""
    import mlflow

    name = context.asset_key.to_user_string()
    with tracking.run(experiment, RunTags.collect(context.run.run_id), f"run of {name}", f"assets/{name}"):
        mlflow.log_metric(name, 1)


def mark(name: str) -> Path:
    """A file by which processes signal how far they are."""
    return ProjectPaths.from_environment().root / f"{name}.mark"


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while not file.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(file)
        time.sleep(0.05)


@dg.asset
def first(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
    log(context, tracking)


@dg.asset(deps=[first])
def second(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
    """Logs in another experiment."""
    log(context, tracking, CUSTOM)


@dg.asset(deps=[first], retry_policy=dg.RetryPolicy(max_retries=1))
def broken(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
    """Fails while it logs, and again when it is tried again."""
    with tracking.run(CUSTOM, RunTags.collect(context.run.run_id), "broken", "assets/broken"):
        raise ValueError("broken on purpose")


@contextmanager
def waiting_run(*target: str, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A run at the command line that has come to the asset ``waiting``; what is left of it at the end is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster", "asset", "materialize", *target, "--select", "waiting"],
        cwd=PROJECT_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **settings,
    )  # fmt: skip
    try:
        wait_for(mark("waiting"))
        yield process
    finally:
        process.kill()
        process.wait()


@dg.asset
def waiting(context: dg.AssetExecutionContext, tracking: MlflowTracking) -> None:
    """Has its run open until it gets a signal."""
    import mlflow

    with tracking.run(BASIC, RunTags.collect(context.run.run_id), "waiting", "assets/waiting"):
        mlflow.log_metric("waiting", 1)
        mark("waiting").touch()
        wait_for(mark("go"))


defs = dg.Definitions(
    assets=[waiting],
    resources={"tracking": tracking_of(ProjectPaths.from_environment())},
    executor=dg.in_process_executor,
)
