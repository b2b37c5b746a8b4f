"""``python -m benchmarks [name …]``: measure, and print the table with the conditions that it was taken under."""

from __future__ import annotations

import argparse
import logging
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import distributed, graph, growth, models, predictions, spark, tables
from benchmarks.measuring import HEADER
from marvel_assets.paths import PROJECT_ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = ("dagster", "mlflow", "lightgbm", "scikit-learn", "pandas", "pyarrow", "duckdb", "deltalake", "skops")
BENCHMARKS: dict[str, Callable[[], Iterator[str]]] = {
    "graph": graph.whole_graph,
    "cleaning": tables.cleaning,
    "encoding": models.encoding,
    "reading": tables.pinned_read,
    "loading": graph.code_location,
    "predicting": models.predicting,
    "memory": graph.peak_memory,
    "large": graph.large_table,
    "growth": growth.growth,
    "distributed": distributed.distributed,
    "spark": spark.scoring,
    "predictions": predictions.predictions,  # last: its tables have columns of their own
}


def main() -> None:
    """Measure what is named, or all."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help="which ones (default: all)")
    logging.disable(logging.INFO)  # what assets log between the lines of the table
    names = parser.parse_args().names or list(BENCHMARKS)
    print(f"{_conditions()}\n\n{HEADER}", flush=True)
    for name in names:
        for line in BENCHMARKS[name]():
            print(line, flush=True)


def _conditions() -> str:
    """Machine, versions, commit and load, as lines of Markdown."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    cpu = next((line.partition(":")[2].strip() for line in lines if "model name" in line), platform.processor())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    described_by_git = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty"]
    commit = subprocess.run(described_by_git, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return (
        f"- {cpu}, {os.cpu_count()} cores, {memory:.0f} GiB; load before: {load}\n"
        f"- Python {platform.python_version()}, {versions}\n"
        f"- commit {commit or 'unknown'}"
    )


if __name__ == "__main__":
    main()
