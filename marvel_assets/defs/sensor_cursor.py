"""What a sensor keeps from tick to tick, and when its errors fail a tick."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Self

import dagster as dg

MAX_ERRORS = 3
"""Errors in a row from which on ticks fail, so that somebody notices; those before are skipped."""


class SensorError(RuntimeError):
    """A sensor has failed several times in a row."""


@dataclass(frozen=True)
class SensorCursor:
    """A sensor's cursor.

    Attributes:
        handled: what the sensor last acted on.
        errors: how many of the latest ticks failed, one after the other.
        failing_since: when the first of them failed.
    """

    handled: str = ""
    errors: int = 0
    failing_since: str = ""

    @classmethod
    def from_json(cls, cursor: str | None) -> Self:
        """What an earlier tick has kept; nothing where the cursor was reset."""
        return cls(**json.loads(cursor or "{}"))

    def to_json(self) -> str:
        """The cursor as the text that Dagster keeps for the next tick."""
        return json.dumps(asdict(self))

    def succeeded(self, message: str) -> dg.SensorResult:
        """Skip with a message, and reset the count of errors."""
        return dg.SensorResult(skip_reason=message, cursor=SensorCursor(self.handled).to_json())

    def failed(
        self, problem: str, error: Exception | str, run_requests: Sequence[dg.RunRequest] = ()
    ) -> dg.SensorResult:
        """Skip with the error, or ask for the runs that can be asked for in spite of it.

        Raises:
            SensorError: too many errors in a row and no run to request; the message says since when.
        """
        since = self.failing_since or f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        text = " ".join(str(error).split())
        if self.errors + 1 >= MAX_ERRORS and not run_requests:
            raise SensorError(f"{problem}, since {since}: {text}")
        failing = replace(self, errors=self.errors + 1, failing_since=since).to_json()
        if run_requests:
            return dg.SensorResult(run_requests=run_requests, cursor=failing)
        return dg.SensorResult(skip_reason=f"{problem}: {text}", cursor=failing)
