"""How much of the fault suite is tried."""

import os
from typing import TypeVar

Amount = TypeVar("Amount")


def amount(sample: Amount, everything: Amount) -> Amount:
    """How many cases to try: few in CI, all where FAULTS=all asks for them."""
    match os.environ.get("FAULTS", "sample"):
        case "sample":
            return sample
        case "all":
            return everything
        case other:
            raise ValueError(f"FAULTS is {other!r}; choose sample or all.")
