"""A process of a distributed fit is killed: the fit ends with an error that names it, and nothing of it is left."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest
from deltalake import write_deltalake

from marvel_assets.model.estimators import LightGBM
from marvel_assets.model.pipeline import build_pipeline
from marvel_assets.storage.table_scan import TableScan
from marvel_assets.training.dask_cluster import WorkersError, dask_workers
from marvel_assets.training.dataset import dataset_columns
from marvel_assets.training.distributed import fit_on_workers
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.fitted_rows import CATEGORICAL, FEATURE_NAMES, cleaned
from marvel_assets_tests.kaggle import TARGET

HOURS_OF_TREES = LightGBM(learning_rate=0.1, n_estimators=1, max_depth=-1).model_copy(
    update={"n_estimators": 1_000_000}
)
SECONDS = 90


@pytest.fixture(scope="module")
def train_set(tmp_path_factory: pytest.TempPathFactory) -> TableScan:
    rows: pd.DataFrame = cleaned(tmp_path_factory.mktemp("cleaned"), 4000)["train"]
    folder = tmp_path_factory.mktemp("train_set")
    write_deltalake(folder, rows.assign(Id=[f"Character {place:05d}" for place in range(len(rows))]))
    return TableScan(folder, 0, tuple(dataset_columns(FEATURE_NAMES, TARGET)))


def endless_fit(client, addresses: tuple[str, ...], scan: TableScan) -> Callable[[], object]:
    pipeline = build_pipeline(CATEGORICAL, HOURS_OF_TREES, 1)
    return lambda: fit_on_workers(client, addresses, scan.parts(len(addresses)), pipeline, FEATURE_NAMES, TARGET)


def pauses() -> Iterator[float]:
    """Moments of the kill: while rows are read, while ranks connect, while trees grow."""
    drawn = random.Random(616)  # noqa: S311
    yield from (drawn.uniform(0.0, amount(3, 12)) for _ in range(amount(sample=1, everything=12)))


def test_a_worker_that_is_killed_at_any_moment_ends_the_fit_and_is_named(train_set: TableScan):
    # given
    for number, pause in enumerate(pauses()):
        with dask_workers(2, scheduler=None, threads=1) as workers:
            pids = workers.client.run(os.getpid, workers=list(workers.addresses))
            victim = workers.addresses[number % 2]
            kill = threading.Timer(pause, os.kill, (pids[victim], signal.SIGKILL))
            kill.start()
            started = time.monotonic()

            # when
            with pytest.raises(WorkersError) as raised:
                workers.watched(endless_fit(workers.client, workers.addresses, train_set))
            kill.join()

        # then
        assert f"Lost while fitting: {victim}" in str(raised.value)
        assert time.monotonic() - started < pause + SECONDS
        assert not any(psutil.pid_exists(pid) for pid in pids.values())


FIT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell started the tests in the background
from pathlib import Path
from marvel_assets_tests.faults.test_workers import *

if __name__ == "__main__":
    with dask_workers(2, scheduler=None, threads=1) as workers:
        print(*workers.client.run(os.getpid, workers=list(workers.addresses)).values(), flush=True)
        scan = TableScan(Path(sys.argv[1]), 0, tuple(dataset_columns(FEATURE_NAMES, TARGET)))
        workers.watched(endless_fit(workers.client, workers.addresses, scan))
"""


@pytest.mark.slow(reason="starts a run and its workers, which each import LightGBM")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT][: amount(1, 2)])
def test_the_workers_end_with_the_run_that_started_them(train_set: TableScan, tmp_path: Path, how: signal.Signals):
    # given: a run whose workers have each spent a second of processor time on the fit
    script = tmp_path / "fit.py"
    script.write_text(FIT)
    with subprocess.Popen(
        [sys.executable, str(script), str(train_set.location)], stdout=subprocess.PIPE, text=True
    ) as run:
        workers = [psutil.Process(int(pid)) for pid in run.stdout.readline().split()]
        before = [worker.cpu_times().user for worker in workers]
        while any(worker.cpu_times().user < start + 1 for worker, start in zip(workers, before, strict=True)):
            time.sleep(0.1)

        # when
        run.send_signal(how)

    # then
    _, alive = psutil.wait_procs(workers, timeout=SECONDS)
    for process in alive:
        process.kill()
    assert workers
    assert not alive
