"""Lines for a person who waits for a fit."""

import re
import time

import pytest

from marvel_assets.utils import progress
from marvel_assets.utils.progress import Progress


@pytest.mark.parametrize(
    ("total", "expected"),
    [(1000, r"(\d+) of 1,000 trees, about \d+ s left"), (None, r"(\d+) trees")],
    ids=["known total", "unknown total"],
)
def test_every_so_often_a_line_reports_the_progress(total: int | None, expected: str, monkeypatch: pytest.MonkeyPatch):
    # given: lines a fiftieth of a second apart
    monkeypatch.setattr(progress, "SECONDS", 0.02)
    lines: list[str] = []
    report = Progress(lines.append, "trees", total)

    # when: at most a thousand trees a second
    started = time.monotonic()
    for grown in range(1, 101):
        time.sleep(0.001)
        report(grown)

    # then
    done = [int(re.fullmatch(expected, line)[1]) for line in lines]
    assert 2 <= len(done) <= (time.monotonic() - started) / 0.02
    assert done == sorted(set(done))
