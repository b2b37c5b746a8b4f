"""What a measurement depends on besides the code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from marvel_assets.paths import PROJECT_ROOT

PACKAGES = ("dagster", "mlflow", "lightgbm", "scikit-learn", "pandas", "pyarrow", "duckdb", "deltalake", "skops")


def conditions() -> str:
    """Machine, versions, commit and load, as lines of Markdown."""
    cpu = _processor()
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    commit = subprocess.run(  # noqa: S603
        ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty"],  # noqa: S607
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    return "\n".join(
        [
            f"- {cpu}, {os.cpu_count()} cores, {pages * page_size / 2**30:.0f} GiB; load before: {load}",
            f"- Python {platform.python_version()}, {versions}",
            f"- commit {commit or 'unknown'}",
        ]
    )


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
