"""Sums up what the fault suite has tried."""

from collections import Counter
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def settings_of_whole_runs(small_project: Path) -> Iterator[None]:
    """The environment of runs whose homes are compared: the small project, one commit, and nothing of the machine's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARVEL_CONFIG", str(small_project))
        patch.setenv("MARVEL_GIT_SHA", "0123abc")
        for name in ("MARVEL_SOURCE", "MARVEL_ENV", "MARVEL_PROFILE", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the tests that passed have tried, and what any test found lost."""
    total: Counter[str] = Counter(dict.fromkeys(FIGURES, 0))
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            recorded = {name: int(value) for name, value in report.user_properties if name in FIGURES}
            total.update(recorded if outcome == "passed" else {LOST: recorded.get(LOST, 0)})
    terminalreporter.section("faults")
    terminalreporter.line(", ".join(f"{name}: {total[name]:,}" for name in FIGURES))
