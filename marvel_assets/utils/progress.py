"""How far a step is, for a person who waits for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 10.0


class Progress:
    """Reports every ten seconds how much is done, and how long the rest will take where its size is known.

    Args:
        report: takes a line.
        what: is counted, such as ``trees``.
        total: how many there will be; None where that is unknown.
        clock: seconds that only ever go on.
    """

    def __init__(
        self,
        report: Callable[[str], object],
        what: str,
        total: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report, self._what, self._total, self._clock = report, what, total, clock
        self._started = self._last = clock()

    def __call__(self, done: int) -> None:
        """Note that so many are done."""
        now = self._clock()
        if now - self._last < SECONDS:
            return
        self._last = now
        if self._total is None:
            self._report(f"{done:,} {self._what}")
        else:
            left = (now - self._started) / done * (self._total - done)
            self._report(f"{done:,} of {self._total:,} {self._what}, about {left:,.0f} s left")
