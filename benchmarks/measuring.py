"""Ratios of two things that are done in turn, so that a busy moment slows both."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROUNDS = 5

LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as figures:
    json.dump({"seconds": time.perf_counter() - started, "peak_bytes": usage.ru_maxrss * 1024}, figures)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""
"""A small process between: Linux starts the peak of a new process at that of the one that forked."""


HEADER = "| work | target | ratio [least, most] | ours | floor | met |\n|---|---|---|---|---|---|"


@dataclass
class Comparison:
    """The figures of the rounds so far, in seconds or bytes: the project's, and those of what stands below it."""

    ours: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """That of each round."""
        return [mine / theirs for mine, theirs in zip(self.ours, self.floor, strict=True)]

    def row(self, work: str, target: float, unit: str = "s") -> str:
        """A line of the table, with medians.

        Args:
            work: what is measured, and over what.
            target: the largest ratio that is aimed at.
            unit: s, or MB.
        """
        ratio, (scale, digits) = statistics.median(self.ratios), (1e6, 0) if unit == "MB" else (1.0, 3)
        ours, floor = (f"{statistics.median(each) / scale:.{digits}f} {unit}" for each in (self.ours, self.floor))
        return (
            f"| {work} | {target:g} | {ratio:.2f} [{min(self.ratios):.2f}, {max(self.ratios):.2f}] | {ours} | {floor} "
            f"| {'yes' if ratio <= target else 'no'} |"
        )


def compare(ours: Callable[[], float], floor: Callable[[], float], rounds: int = ROUNDS) -> Comparison:
    """Measure both in turn, after one round of each that does not count."""
    ours()
    floor()
    compared = Comparison()
    for _ in range(rounds):
        compared.floor.append(floor())
        compared.ours.append(ours())
    return compared


def timed(work: Callable[[], object], repeat: int = 1) -> Callable[[], float]:
    """A measurement of the seconds that one call takes, averaged over ``repeat`` calls."""

    def seconds() -> float:
        started = time.perf_counter()
        for _ in range(repeat):
            work()
        return (time.perf_counter() - started) / repeat

    return seconds


@dataclass(frozen=True)
class Child:
    """What a process of its own took."""

    seconds: float
    peak_bytes: int
    output: str


def in_a_child(arguments: Sequence[str], environment: Mapping[str, str]) -> Child:
    """Run this Python with arguments, to its end.

    Raises:
        RuntimeError: it failed; the text is the end of what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder, "figures.json")
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-S", "-c", LAUNCHER, str(figures), sys.executable, *arguments],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)[:200]} failed:\n{done.stdout[-3000:]}")
        return Child(**json.loads(figures.read_text()), output=done.stdout)


def peak_of_this_process() -> int:
    """The most bytes that it has held since it began; not those of the process that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM; memory is measured on Linux alone.")
