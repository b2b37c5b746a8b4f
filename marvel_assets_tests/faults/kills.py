"""Runs that are killed at a chosen boundary, and the choice of these."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, zip_longest
from pathlib import Path

import psutil

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import materialize, python
from marvel_assets_tests.faults import killer

KILLER = Path(killer.__file__).parent
WITHIN_SECONDS = (0.0005, 0.002, 0.005, 0.01, 0.03, 0.1)
"""How long the action goes on before the process dies within it (or within what follows)."""

SEED = 616
SECONDS_TO_END = 60


@dataclass(frozen=True)
class Moment:
    """When a run dies: before, after or within the n-th passing of a boundary; see the killer."""

    boundary: str
    occurrence: int
    when: str
    seconds: float = 0.0

    def __str__(self) -> str:
        place = f"{self.when} {self.boundary}, occurrence {self.occurrence}"
        return f"{place}, {self.seconds * 1000:g} ms" if self.when == "within" else place


def run(
    home: ProjectPaths, moment: Moment | None = None, record: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Materialise everything in a process of its own, which dies at the moment or writes its boundaries down."""
    return materialize("*", **settings_of(home), **_plan(moment, record), **environment)


def prepare(
    home: ProjectPaths, moment: Moment | None = None, record: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Make the home ready in a process of its own, which dies at the moment or writes its boundaries down."""
    return python("-m", "marvel_assets.paths", **settings_of(home), **_plan(moment, record))


def settings_of(home: ProjectPaths) -> dict[str, str]:
    """What a command must know to work in a home."""
    return {"MARVEL_HOME": str(home.root), "DAGSTER_HOME": str(home.dagster)}


def left_in(home: ProjectPaths) -> list[str]:
    """The processes that still work in a home after a while that is long enough to end."""
    deadline = time.monotonic() + SECONDS_TO_END
    while (found := _processes_in(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _processes_in(home: ProjectPaths) -> list[str]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("MARVEL_HOME") == str(home.root):
                found.append(process.name())
    return found


def _plan(moment: Moment | None, record: Path | None) -> dict[str, str]:
    plan = asdict(moment) if moment else {"record": str(record)} if record else None
    path = os.pathsep.join(filter(None, [str(KILLER), os.environ.get("PYTHONPATH")]))
    return {"KILLER": json.dumps(plan), "PYTHONPATH": path} if plan else {}


def spread(boundaries: Sequence[str], landmarks: Mapping[str, str], amount: int) -> list[Moment]:
    """The landmarks first, then moments in each step alternately, with a seeded choice of the boundaries in it.

    Args:
        boundaries: what an undisturbed run passed, in order.
        landmarks: boundaries that must be among them, and when the run dies there.
        amount: how many moments.
    """
    draw = random.Random(SEED)  # noqa: S311 - a choice that can be repeated
    passed = Counter(boundaries)
    missing = [name for name in landmarks if name not in passed]
    assert not missing, f"the undisturbed run did not pass {missing}"
    chosen = [_moment(name, when, 1, draw) for name, when in landmarks.items()]
    by_step: dict[str, list[str]] = {}
    for name in dict.fromkeys(boundaries):
        if name in landmarks:
            continue  # chosen already; and within the last boundary of all a process may be over
        by_step.setdefault(name.partition(":")[0], []).append(name)
    for names in by_step.values():
        draw.shuffle(names)
    ways = cycle(("before", "within", "after"))
    alternating = (name for names in zip_longest(*by_step.values()) for name in names if name)
    for name in alternating:
        when = next(ways)
        if " open " in name and when == "after":
            when = "within"
        chosen.append(_moment(name, when, draw.randint(1, passed[name]), draw))
    assert len(chosen) >= amount, f"an undisturbed run passes {len(chosen)} boundaries"
    return chosen[:amount]


def _moment(name: str, when: str, occurrence: int, draw: random.Random) -> Moment:
    return Moment(name, occurrence, when, draw.choice(WITHIN_SECONDS) if when == "within" else 0.0)


def is_killed(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a process ended by SIGKILL."""
    return done.returncode == -signal.SIGKILL
