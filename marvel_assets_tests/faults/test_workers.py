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
def test_the_workers_end_with_the_run_that_started_them(train_set: TableScan, tmp_path: Path, how):
    # given: a run in the midst of a fit
    script = tmp_path / "fit.py"
    script.write_text(FIT)
    run, workers = _run_in_the_midst_of_a_fit(script, train_set)
    parent = psutil.Process(run.pid)

    # when
    run.send_signal(how)
    _, alive = psutil.wait_procs([parent, *workers], timeout=SECONDS)
    for process in alive:
        process.kill()
    run.wait()

    # then
    assert not alive


def _run_in_the_midst_of_a_fit(
    script: Path, train_set: TableScan
) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A run and its workers. One whose fit fails before, such as for want of memory, is not this test's subject."""
    ends = []
    for attempt in range(3):
        errors = script.with_name(f"errors-{attempt}.txt")
        with errors.open("w") as stderr:
            run = subprocess.Popen(
                [sys.executable, str(script), str(train_set.location)],
                stdout=subprocess.PIPE, stderr=stderr, text=True,
            )  # fmt: skip
        assert run.stdout is not None
        workers = [psutil.Process(int(pid)) for pid in run.stdout.readline().split()]
        _wait_until_they_work(workers)
        if run.poll() is None:
            return run, workers
        ends.append(errors.read_text()[-2000:])
    raise AssertionError(f"no run was fitting: {ends}")


def _wait_until_they_work(workers: list[psutil.Process]) -> None:
    """Until each has spent a second of processor time on the fit."""
    before = [worker.cpu_times().user for worker in workers]
    deadline = time.monotonic() + SECONDS
    while any(
        worker.is_running() and worker.cpu_times().user < start + 1
        for worker, start in zip(workers, before, strict=True)
    ):
        assert time.monotonic() < deadline, "the fit did not begin"
        time.sleep(0.1)
