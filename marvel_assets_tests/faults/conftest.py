"""Sums up what the fault suite has tried."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

KILLS, ROUNDS, CALLS, INPUTS, READS, LOST = (
    "kills survived",
    "rounds at once",
    "calls failed",
    "inputs tried",
    "reads during moves",
    "lost",
)
FIGURES = (KILLS, ROUNDS, CALLS, INPUTS, READS, LOST)
"""Names under which the tests record numbers with ``record_property``."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of the tests that passed; a test that failed is in pytest's own summary."""
    passed: Iterable[pytest.TestReport] = terminalreporter.stats.get("passed", [])
    total: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
    for report in passed:
        total.update({name: int(value) for name, value in report.user_properties if name in FIGURES})
    terminalreporter.section("faults")
    terminalreporter.line(", ".join(f"{name}: {total[name]:,}" for name in FIGURES))
