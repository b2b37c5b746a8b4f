"""A search for parameters that is killed again and again ends with the trials of one that was left alone."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from marvel_assets_tests.faults.conftest import KILLS, LOST
from marvel_assets_tests.faults.scale import amount

TRIALS = 14
SEARCH = """
import sys
from pathlib import Path
import numpy, pandas
from marvel_assets.config import ProjectConfig
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.training.cross_validation import TrainingRows
from marvel_assets.training.search import SearchBudget, search, trials_table

drawn = numpy.random.default_rng(616)
rows = pandas.DataFrame({"Height": drawn.random(200), "Gender": drawn.choice(["Male", "Female"], 200)})
rows["Alive"] = (rows["Height"] + drawn.random(200) > 0.7).astype(int)
training = TrainingRows(rows, pandas.Series([f"character {number}" for number in rows.index]))
config = ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml").model_copy(
    update={"num_features": ("Height",), "cat_features": ("Gender",)}
)
budget = SearchBudget(int(sys.argv[2]), minutes=60, splits=2, seed=616, threads=1)
found = search(config, training, budget, Path(sys.argv[1]), lambda text: None)
print(trials_table(found).drop(columns="seconds").to_csv(index=False))
"""


def searching(storage: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-c", SEARCH, str(storage), str(TRIALS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def trials_of(process: subprocess.Popen[str]) -> list[str]:
    """The table that a search prints in the end, a line a trial."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return [line for line in output.splitlines() if line[:1].isdigit()]


@pytest.mark.slow(reason="each search is a process of its own")
def test_a_search_that_is_killed_again_and_again_finds_what_one_without_a_break_finds(
    tmp_path: Path, record_property: Callable[[str, int], None]
):
    # given
    expected = trials_of(searching(tmp_path / "undisturbed.db"))
    assert len(expected) == TRIALS
    moments = np.random.default_rng(616)

    # when: killed while the file is made, between trials, within a fit, and within a write
    kills, lost = 0, 0
    for case in range(amount(1, 20)):
        storage = tmp_path / f"study-{case}.db"
        for _ in range(amount(1, 6)):
            process = searching(storage)
            _wait_until_it_works(process, storage)
            time.sleep(float(moments.uniform(0, 0.6)))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += process.returncode == -signal.SIGKILL
        lost += len(set(expected) - set(trials_of(searching(storage))))

    # then
    record_property(KILLS, kills)
    record_property(LOST, lost)
    assert lost == 0
    assert kills > 0


def _wait_until_it_works(process: subprocess.Popen[str], storage: Path) -> None:
    """Until the file is there or is written to: imports take seconds, and killing them shows nothing."""
    before = storage.stat().st_mtime_ns if storage.exists() else 0
    end = time.monotonic() + 120
    while process.poll() is None:
        if storage.exists() and storage.stat().st_mtime_ns != before:
            return
        if time.monotonic() > end:
            pytest.fail("the search did not begin within two minutes")
        time.sleep(0.005)
