"""How far a fit is, for a person who waits for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 10.0


class Progress:
    """Reports every ten seconds how many trees are grown, and how long the others will take.

    Args:
        report: takes a line.
        total: trees that are to be grown.
        clock: seconds that only ever go on.
    """

    def __init__(
        self, report: Callable[[str], object], total: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._total, self._clock = report, total, clock
        self._started = self._last = clock()

    def __call__(self, grown: int) -> None:
        """Note that so many trees are grown."""
        now = self._clock()
        if now - self._last >= SECONDS:
            self._last = now
            left = (now - self._started) / grown * (self._total - grown)
            self._report(f"{grown:,} of {self._total:,} trees, about {left:,.0f} s left")
