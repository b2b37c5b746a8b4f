"""The processes of a distributed fit: there and alike, or refused by name before anything is read."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import LocalCluster

from marvel_assets.training.dask_cluster import Workers, WorkersError, dask_workers

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with dask_workers(2, scheduler=None, threads=1) as started:
        yield started


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A scheduler with one worker, both threads of this process."""
    with LocalCluster(
        host="127.0.0.1", n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_as_many_processes_as_asked_for_are_started_and_listen_on_the_loopback_interface_alone(workers: Workers):
    # when
    processes = workers.client.run(os.getpid, workers=list(workers.addresses))
    listening = [
        connection.laddr.ip
        for process in (psutil.Process(), *map(psutil.Process, processes.values()))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]

    # then
    assert len(set(processes.values()) - {os.getpid()}) == 2
    assert tuple(processes) == workers.addresses
    assert len(listening) >= 3
    assert set(listening) == {"127.0.0.1"}


def test_who_has_what_is_reported_in_the_order_of_the_workers(workers: Workers):
    # given: many keys, in the reverse order of the workers
    held = [
        workers.client.submit(pow, 2, number, workers=[workers.addresses[number % 2]], pure=False)
        for number in reversed(range(20))
    ]
    workers.client.gather(held)

    # when
    holders = [holder for [holder] in workers.client.who_has(held).values()]

    # then
    assert holders == [workers.addresses[0]] * 10 + [workers.addresses[1]] * 10


def test_a_scheduler_that_is_there_already_is_used_and_left_running(scheduler: str):
    # when
    for _ in range(2):
        with dask_workers(1, scheduler, threads=1) as found:
            answer = found.watched(lambda found=found: found.client.submit(pow, 2, 5).result())

            # then
            assert (answer, found.where) == (32, scheduler)


def test_too_few_workers_are_reported_with_the_command_that_adds_some(scheduler: str):
    missing = rf"{scheduler} has 1 of 3 workers after 1 s. .*`dask worker {scheduler}`"
    with pytest.raises(WorkersError, match=missing), dask_workers(3, scheduler, threads=1, join_seconds=1):
        pass


def test_a_worker_with_other_packages_is_refused_by_name(tmp_path: Path):
    # given: a worker from another environment
    (tmp_path / "lightgbm-0.1.dist-info").mkdir()
    (tmp_path / "lightgbm-0.1.dist-info" / "METADATA").write_text("Name: lightgbm\nVersion: 0.1\n")
    with LocalCluster(
        host="127.0.0.1", n_workers=0, processes=False, protocol="tcp", dashboard_address=None
    ) as cluster:
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--host", "127.0.0.1",
             "--no-nanny", "--no-dashboard"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)}, cwd=tmp_path, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            # then
            different = r"Worker tcp://127.* different packages .*: lightgbm 0.1 there and "
            with pytest.raises(WorkersError, match=different), dask_workers(1, cluster.scheduler_address, threads=1):
                pass
        finally:
            worker.terminate()
            worker.wait(timeout=30)


def test_a_failure_of_the_work_itself_is_handed_on(workers: Workers):
    with pytest.raises(ZeroDivisionError):
        workers.watched(lambda: workers.client.submit(divmod, 1, 0, pure=False).result())
