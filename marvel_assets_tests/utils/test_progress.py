"""Lines for a person who waits for a fit."""

import time

import pytest

from marvel_assets.utils.progress import Progress


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (1000, ["100 of 1,000 trees, about 90 s left", "200 of 1,000 trees, about 80 s left"]),
        (None, ["100 trees", "200 trees"]),
    ],
    ids=["known total", "unknown total"],
)
def test_every_ten_seconds_a_line_reports_the_progress(
    total: int | None, expected: list[str], monkeypatch: pytest.MonkeyPatch
):
    # given
    lines: list[str] = []
    seconds = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: seconds)
    progress = Progress(lines.append, "trees", total)

    # when: ten trees a second
    for grown in range(1, 251):
        seconds = grown / 10
        progress(grown)

    # then
    assert lines == expected
