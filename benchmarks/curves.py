"""``python -m benchmarks.curves FIGURES.jsonl PICTURE.png``: how seconds and memory grow with the rows.

The figures are the last lines that ``python -m benchmarks.growth ROWS`` and ``python -m benchmarks.spark_growth ROWS``
print, one below the other.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CLEANING, FIT = "reading and cleaning", "fit of 100 trees"
ON_SPARK = ("staging the source", "writing raw_characters", "cleaning, split, three tables")


def curves(lines: list[dict[str, Any]]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Points of each curve, by panel: seconds, and megabytes."""
    seconds: dict[str, list[tuple[int, float]]] = {}
    megabytes: dict[str, list[tuple[int, float]]] = {}
    for figures in sorted(lines, key=lambda one: int(one["rows"])):
        rows = int(figures["rows"])
        if CLEANING in figures:
            seconds.setdefault("read and clean, embedded", []).append((rows, figures[CLEANING]))
            seconds.setdefault("fit of 100 trees", []).append((rows, figures[FIT]))
            megabytes.setdefault("read and clean, embedded", []).append((rows, figures["peak after cleaning"] / 1e6))
            megabytes.setdefault("with the fit", []).append((rows, figures["peak"] / 1e6))
        else:
            seconds.setdefault("read and clean, Spark", []).append((rows, sum(figures[part] for part in ON_SPARK)))
            megabytes.setdefault("heap of Spark's driver", []).append((rows, figures["peak heap of the driver"] / 1e6))
    return {"seconds": seconds, "MB at most": megabytes}


def draw(panels: dict[str, dict[str, list[tuple[int, float]]]], picture: Path) -> None:
    """Both panels with logarithmic axes, so that a straight line of slope one is linear growth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for place, (unit, lines) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), place, xscale="log", yscale="log", xlabel="characters", ylabel=unit)
        for name, points in lines.items():
            axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    given = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    draw(curves([json.loads(line) for line in given]), Path(sys.argv[2]))
