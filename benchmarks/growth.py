"""How cleaning and fitting grow with the rows. Each size is a process of its own, whose peak of memory is its own."""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.characters import MILLION
from benchmarks.graph import fresh_home
from benchmarks.measuring import Comparison, in_a_child, peak_of_this_process

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = (100_000, MILLION, 10 * MILLION)
TREES = 100


def growth() -> Iterator[str]:
    """Each size over ten times the one before: 1 is linear."""
    measured = {
        rows: json.loads(in_a_child(("-m", "benchmarks.growth", str(rows)), {}).output.splitlines()[-1])
        for rows in SIZES
    }
    for smaller, larger in itertools.pairwise(SIZES):
        for work in ("reading and cleaning", f"fit of {TREES} trees"):
            compared = Comparison([measured[larger][work]], [measured[smaller][work] * larger / smaller])
            yield compared.row(f"{work}, {larger:,} rows / as many times those of {smaller:,}", 1.0)
    for rows in SIZES:
        memory = Comparison([measured[rows]["peak after cleaning"]], [measured[SIZES[0]]["peak after cleaning"]])
        yield memory.row(f"peak memory of cleaning {rows:,} rows / of {SIZES[0]:,}", 100.0, "MB")


def main(rows: int) -> None:
    """Read a CSV of so many rows, clean it, fit on it; print what each took."""
    from benchmarks.tables import clean, rows_of, with_raw_table
    from marvel_assets.model.pipeline import default_threads
    from marvel_assets.training.fit import fit_from_config

    with fresh_home(rows, TREES) as (home, environment):
        started = time.perf_counter()
        resources, raw = with_raw_table(home, Path(environment["MARVEL_SOURCE"]))
        train_set = clean(home, resources, raw)["train_set"]
        cleaned = time.perf_counter()
        peak = peak_of_this_process()
        config = resources["project"].config
        began = time.perf_counter()
        frame = rows_of(resources, train_set)
        model = config.model.model_copy(update={"n_estimators": TREES})
        fit_from_config(config.model_copy(update={"model": model}), frame, default_threads())
        fitted = time.perf_counter()
    figures = {
        "reading and cleaning": cleaned - started,
        f"fit of {TREES} trees": fitted - began,
        "peak after cleaning": peak,
    }
    print(json.dumps({"rows": rows, **figures, "peak": peak_of_this_process()}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
