"""A process of a distributed fit is killed: the fit ends with an error that names it, and no process is left."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from deltalake import write_deltalake

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.storage.table_scan import TableScan
from marvel_assets.training.dask_cluster import FitClient, WorkersError, dask_client
from marvel_assets.training.dataset import dataset_columns
from marvel_assets.training.distributed import fit_on_workers
from marvel_assets.training.fit import pipeline_from_config
from marvel_assets_tests.faults import amount
from marvel_assets_tests.fitted_rows import FEATURE_NAMES
from marvel_assets_tests.kaggle import TARGET

HOURS_OF_TREES = 1_000_000
SECONDS = 90


@pytest.fixture(scope="module")
def train_set(tmp_path_factory: pytest.TempPathFactory, sets: dict[str, pd.DataFrame]) -> Path:
    folder, rows = tmp_path_factory.mktemp("train_set"), sets["train"]
    write_deltalake(folder, rows.assign(Id=[f"Character {place:05d}" for place in range(len(rows))]))
    return folder


def fit_for_hours(client: FitClient, train_set: Path) -> None:
    scan = TableScan(train_set, 0, tuple(dataset_columns(FEATURE_NAMES, TARGET)))
    pipeline = pipeline_from_config(ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml"), 1)
    pipeline.set_params(classify__n_estimators=HOURS_OF_TREES)
    parts = scan.parts(len(client.workers))
    client.watch(lambda: fit_on_workers(client, parts, pipeline, FEATURE_NAMES, TARGET))


def pids_of(client: FitClient) -> dict[str, int]:
    return dict(client.run(os.getpid, workers=list(client.workers)))


def test_a_worker_that_is_killed_at_any_moment_ends_the_fit_and_is_named(train_set: Path):
    # given: kills while rows are read, while ranks connect, while trees grow
    drawn = random.Random(616)  # noqa: S311
    for number in range(amount(1, 12)):
        with dask_client(2, scheduler=None, threads=1) as client:
            pids, victim = pids_of(client), client.workers[number % 2]
            pause = drawn.uniform(0.0, amount(3, 12))
            threading.Timer(pause, os.kill, (pids[victim], signal.SIGKILL)).start()
            started = time.monotonic()

            # when
            with pytest.raises(WorkersError, match=f"Lost while fitting: {victim}"):
                fit_for_hours(client, train_set)

        # then
        assert time.monotonic() - started < pause + SECONDS
        assert not any(psutil.pid_exists(pid) for pid in pids.values())


@pytest.mark.slow(reason="starts a run and its workers, which each import LightGBM")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT][: amount(1, 2)])
def test_the_workers_end_with_the_run_that_started_them(train_set: Path, how: signal.Signals):
    # given: a run whose workers have each spent a second of processor time on the fit
    command = [sys.executable, "-m", "marvel_assets_tests.faults.test_workers", str(train_set)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
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


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if a shell started the tests in the background
    with dask_client(2, scheduler=None, threads=1) as connected:
        print(*pids_of(connected).values(), flush=True)  # noqa: T201
        fit_for_hours(connected, Path(sys.argv[1]))
