"""The workers of a distributed fit: a cluster on this machine, or an existing Dask scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

try:
    from distributed import Client, LocalCluster
except ImportError as error:
    raise ImportError(
        "dask and distributed are not installed; install the extra: uv pip install 'marvel-assets[distributed]', or "
        "remove fitted_pipeline's setting `distribution`."
    ) from error

Result = TypeVar("Result")

CHECK_SECONDS = 1.0
"""How often to check that all workers are still there."""
SAME_VERSIONS = ("lightgbm", "numpy", "pandas", "scikit-learn")
"""Packages that must have the same version on every worker and here."""


class WorkersError(RuntimeError):
    """Workers are lost or unsuitable; the text names the address and what to do."""


class FitClient(Client):  # type: ignore[misc]
    """Connects to the workers of one fit, whose addresses it knows in the order of their parts."""

    workers: tuple[str, ...] = ()

    def who_has(self, futures: Any = None, **options: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
        """The workers that hold each result, in the order of the workers.

        ``lightgbm.dask`` numbers its machines in the order of ``who_has``, which Dask answers from a set: it would
        differ between processes, and with it the last bits of the trees.
        """
        found: dict[str, tuple[str, ...]] = super().who_has(futures, **options)
        rank = {address: place for place, address in enumerate(self.workers)}
        return dict(sorted(found.items(), key=lambda held: min(rank.get(who, len(rank)) for who in held[1])))

    def watch(self, work: Callable[[], Result]) -> Result:
        """Do work that needs all workers; a lost one is a ``WorkersError``: LightGBM would wait for it for hours."""
        with ThreadPoolExecutor(1, thread_name_prefix="fit") as executor:
            future = executor.submit(work)
            try:
                while not wait([future], timeout=CHECK_SECONDS).done:
                    self._check_workers()
                if future.exception() is not None:
                    time.sleep(CHECK_SECONDS)  # LightGBM may notice a lost worker before the scheduler does
                    self._check_workers()
                return future.result()
            except BaseException:
                self.close()  # ends the work, which leaving the executor would wait for
                raise

    def _check_workers(self) -> None:
        address = self.scheduler.address
        try:
            found = self.ncores()
        except (OSError, TimeoutError) as error:
            lost = f"{address} itself ({error})"
        else:
            lost = ", ".join(worker for worker in self.workers if worker not in found)
        if lost:
            raise WorkersError(
                f"Lost while fitting: {lost} of {len(self.workers)} workers at {address}. A worker that dies suddenly "
                "has usually run out of memory: use more workers (fitted_pipeline's setting `distribution`) or fit on "
                "a `sample`, and materialise fitted_pipeline again."
            )

    def check_versions(self) -> None:
        """Raise a ``WorkersError`` if packages of a worker have other versions than here."""
        versions = self.get_versions(packages=SAME_VERSIONS)
        here = versions["client"]["packages"]
        for worker, found in versions["workers"].items():
            there = found["packages"]
            if differ := [name for name in SAME_VERSIONS if there[name] != here[name]]:
                different = ", ".join(f"{name} {there[name]} there and {here[name]} here" for name in differ)
                raise WorkersError(
                    f"Worker {worker} has different packages from this process: {different}. Start the workers in the "
                    "same environment (constraints.txt) and the same checkout."
                )


@contextmanager
def dask_client(number: int, scheduler: str | None, threads: int) -> Iterator[FitClient]:
    """Connect to workers, and check their package versions.

    Without the address of a Dask ``scheduler``, start a cluster with so many ``threads`` in each worker, on this
    machine's loopback interface; it ends with the context.
    """
    with ExitStack() as stack:
        if scheduler is None:
            # Without Dask's memory limit, which would spill or kill a running fit.
            cluster = LocalCluster(
                number, host="127.0.0.1", threads_per_worker=threads, processes=True, memory_limit=0,
                dashboard_address=None, worker_dashboard_address=None,
            )  # fmt: skip
            scheduler = str(stack.enter_context(cluster).scheduler_address)
        client = stack.enter_context(FitClient(scheduler, set_as_default=False))
        client.wait_for_workers(number, timeout=60)
        known = client.scheduler_info(n_workers=-1)["workers"]
        # By name, which in a local cluster is a number.
        named = sorted(known, key=lambda worker: (len(str(known[worker]["name"])), str(known[worker]["name"])))
        client.workers = tuple(named[:number])
        client.check_versions()
        yield client
