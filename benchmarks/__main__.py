"""``python -m benchmarks [name …]``: measure, and print the table with the conditions that it was taken under."""

from __future__ import annotations

import argparse
import logging
from typing import TYPE_CHECKING

from benchmarks import distributed, graph, growth, models, predictions, spark, tables
from benchmarks.conditions import conditions
from benchmarks.measuring import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


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
    print(f"{conditions()}\n\n{HEADER}", flush=True)
    for name in names:
        for line in BENCHMARKS[name]():
            print(line, flush=True)


if __name__ == "__main__":
    main()
