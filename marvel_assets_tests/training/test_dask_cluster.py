"""The processes of a distributed fit: there and alike, or refused by name before anything is read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import LocalCluster

from marvel_assets.training.dask_cluster import FitClient, WorkersError, dask_client

pytestmark = pytest.mark.integration

IN_THIS_PROCESS = {"host": "127.0.0.1", "processes": False, "protocol": "tcp", "dashboard_address": None}


@pytest.fixture(scope="module")
def client() -> Iterator[FitClient]:
    with dask_client(2, scheduler=None, threads=1) as connected:
        yield connected


def test_each_worker_is_a_process(client: FitClient):
    processes = client.run(os.getpid, workers=list(client.workers))
    assert tuple(processes) == client.workers
    assert len({os.getpid(), *processes.values()}) == 3


def test_who_has_what_is_reported_in_the_order_of_the_workers(client: FitClient):
    # given: many keys, in the reverse order of the workers
    futures = [
        client.submit(pow, 2, number, workers=[client.workers[number % 2]], pure=False)
        for number in reversed(range(20))
    ]
    client.gather(futures)

    # when
    holders = [holder for [holder] in client.who_has(futures).values()]

    # then
    assert holders == [client.workers[0]] * 10 + [client.workers[1]] * 10


def test_a_scheduler_that_is_there_already_is_used_and_left_running():
    with LocalCluster(n_workers=1, threads_per_worker=1, **IN_THIS_PROCESS) as cluster:
        for _ in range(2):
            # when
            with dask_client(1, cluster.scheduler_address, threads=1) as client:
                answer = client.watch(lambda client=client: client.submit(pow, 2, 5).result())

            # then
            assert answer == 32


def test_a_worker_with_other_packages_is_refused_by_name(tmp_path: Path):
    # given: a worker from another environment
    (tmp_path / "lightgbm-0.1.dist-info").mkdir()
    (tmp_path / "lightgbm-0.1.dist-info" / "METADATA").write_text("Name: lightgbm\nVersion: 0.1\n")
    with LocalCluster(n_workers=0, **IN_THIS_PROCESS) as cluster:
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--host", "127.0.0.1",
             "--no-nanny", "--no-dashboard"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            # then
            different = r"Worker tcp://127.* has lightgbm 0.1, unlike this process"
            with pytest.raises(WorkersError, match=different), dask_client(1, cluster.scheduler_address, threads=1):
                pass
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def test_a_failure_of_the_work_itself_is_handed_on(client: FitClient):
    with pytest.raises(ZeroDivisionError):
        client.watch(lambda: client.submit(divmod, 1, 0, pure=False).result())
