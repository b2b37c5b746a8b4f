"""Runs that start at the same moment: processes that have imported everything, and wait for the word."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import users_environment
from marvel_assets_tests.faults.kills import settings_of

SECONDS = 500

WAITING_RUN = """
import sys
import deltalake, duckdb, lightgbm, matplotlib.pyplot, mlflow.pyfunc, mlflow.sklearn, skops.io
import marvel_assets.definitions
from dagster._cli import main
from marvel_assets.paths import ProjectPaths

print("ready", flush=True)
sys.stdin.readline()
ProjectPaths.from_environment().prepare()
sys.argv = ["dagster", "asset", "materialize", "-m", "marvel_assets.definitions", "--select", "*"]
main()
"""


def run_at_once(home: ProjectPaths, folder: Path, environments: Sequence[Mapping[str, str]]) -> list[str]:
    """Start a run with each environment at the same moment in one home; returns what went wrong in those that failed.

    Args:
        home: need not be there yet.
        folder: for what the runs print.
        environments: one for each run, added to the test's own.
    """
    printed = [folder / f"run-{number}.txt" for number in range(len(environments))]
    runs = []
    for file, environment in zip(printed, environments, strict=True):
        with file.open("w") as output:
            started = subprocess.Popen(
                [sys.executable, "-c", WAITING_RUN],
                cwd=PROJECT_ROOT,
                env={**users_environment(), **settings_of(home), **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        runs.append(started)
    try:
        for started in runs:
            assert started.stdout.readline() == "ready\n"
        for started in runs:
            started.stdin.write("go\n")
            started.stdin.flush()
        codes = [started.wait(SECONDS) for started in runs]
    finally:
        for started in runs:
            started.kill()
            started.wait()
            started.stdin.close()
            started.stdout.close()
    return [file.read_text()[-4000:] for code, file in zip(codes, printed, strict=True) if code != 0]
