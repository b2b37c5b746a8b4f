"""A clock that jumps, in real processes: ``clock.c`` shifts what the system tells of the time, to native code too."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import SECONDS, users_environment

HOUR = 3600
YEAR = 365 * 24 * HOUR

STORY = """
import json, os, sys
from datetime import datetime
from pathlib import Path

import dagster as dg
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import run_job
from marvel_assets.definitions import defs
from marvel_assets.defs.resources import profile_resources
from marvel_assets_tests.faults.clock import Clock

home = ProjectPaths.from_environment()
home.prepare()
feed = dg.define_asset_job("feed", selection=["raw_characters", "survival_predictions", "drift_report"])
graph = dg.Definitions(assets=defs.assets, asset_checks=defs.asset_checks, jobs=[*defs.jobs, feed],
                       resources=profile_resources(home))
with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
    for shift, job, setting in json.loads(sys.argv[1]):
        Clock.of_this_process().set(shift)
        if job == "rollback":
            assert run_job(home, job, "rollback_models", reason=setting).success
            continue
        settings = {"ops": {"raw_characters": {"config": {"source": setting}}}}
        done = graph.resolve_job_def(job).execute_in_process(run_config=settings, instance=instance)
        [made] = done.asset_materializations_for_node("survival_predictions")
        print(json.dumps({"year": datetime.now().year, "scored_now": made.metadata["scored_now"].value}))
"""
"""Retrainings, feedings and rollbacks, one after another in one process, whose clock is set anew before each."""


@dataclass(frozen=True)
class Clock:
    """The wall clock of the processes that have its environment.

    Attributes:
        library: what shifts it, or None where the clock can't be set and stays right.
        file: holds the seconds that it is off by.
    """

    library: Path | None
    file: Path

    @classmethod
    def build(cls, folder: Path) -> "Clock":
        """Compile it; a clock that is right at first."""
        compiler = shutil.which("cc")
        if compiler is None or sys.platform != "linux":
            reason = "a clock can be set for one process on Linux with a C compiler (Debian: gcc and libc6-dev)"
            pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
        clock = cls(folder / "clock.so", folder / "shift")
        source = Path(__file__).with_suffix(".c")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", clock.library, source, "-ldl"], check=True)
        clock.set(0)
        return clock

    @classmethod
    def of_this_process(cls) -> "Clock":
        """The clock that this process was started with."""
        name = os.environ.get("WRONG_CLOCK")
        return cls(None if name is None else Path(), Path(name or os.devnull))

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that has this clock."""
        return {"LD_PRELOAD": str(self.library), "WRONG_CLOCK": str(self.file)}

    def set(self, shift: int) -> None:
        """Let it be off by so many seconds from now on."""
        if self.library is not None:
            with self.file.open("r+b" if self.file.exists() else "wb") as file:
                file.write(shift.to_bytes(8, sys.byteorder, signed=True))


def tell(home: ProjectPaths, steps: list[tuple[int, str, str]], **environment: str) -> list[dict[str, int]]:
    """Live through the story in a home; each step is a shift of the clock, a job, and its source or reason."""
    here = {"MARVEL_HOME": str(home.root), "DAGSTER_HOME": str(home.dagster)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", STORY, json.dumps(steps)],
        cwd=PROJECT_ROOT, env={**users_environment(), **here, **environment},
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
