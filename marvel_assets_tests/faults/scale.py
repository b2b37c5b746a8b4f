"""How much of the fault suite is tried."""

import os


def amount(sample: int, everything: int) -> int:
    """How many cases to try: few in CI, all where FAULTS=all asks for them."""
    match os.environ.get("FAULTS", "sample"):
        case "sample":
            return sample
        case "all":
            return everything
        case other:
            raise ValueError(f"FAULTS is {other!r}; choose sample or all.")
