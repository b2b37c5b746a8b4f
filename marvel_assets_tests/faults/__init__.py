"""Faults on purpose: each promise of docs/reliability.md, with a test that could fail.

``make test-faults`` tries a sample of each row, ``make test-faults FAULTS=all`` all of it.
"""

import os
from typing import TypeVar

Amount = TypeVar("Amount")


def amount(sample: Amount, everything: Amount) -> Amount:
    """How many cases to try."""
    match os.environ.get("FAULTS", "sample"):
        case "sample":
            return sample
        case "all":
            return everything
        case other:
            raise ValueError(f"FAULTS is {other!r}; choose sample or all.")
