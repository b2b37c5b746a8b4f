"""Progress lines of long steps."""

import time
from collections.abc import Callable

SECONDS = 10.0


class Progress:
    """Reports every ten seconds how much is done and, if the total is known, how long the rest will take."""

    def __init__(self, report: Callable[[str], object], what: str, total: int | None = None) -> None:
        self._report, self._what, self._total = report, what, total
        self._started = self._last = time.monotonic()

    def __call__(self, done: int) -> None:
        """Report that ``done`` are done, unless the last report was just now."""
        now = time.monotonic()
        if now - self._last < SECONDS:
            return
        self._last = now
        if self._total is None:
            self._report(f"{done:,} {self._what}")
        else:
            left = (now - self._started) / done * (self._total - done)
            self._report(f"{done:,} of {self._total:,} {self._what}, about {left:,.0f} s left")
