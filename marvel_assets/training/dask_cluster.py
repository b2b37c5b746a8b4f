"""The workers of a distributed fit: a cluster on this machine, or an existing Dask scheduler."""

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

CHECK_SECONDS = 1.0  # between checks that all workers are still there
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
        return dict(sorted(found.items(), key=lambda held: rank.get(held[1][0], len(rank))))

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
        try:
            alive = self.ncores()
        except (OSError, TimeoutError) as error:
            raise WorkersError(f"Lost while fitting: the scheduler {self.scheduler.address} ({error}).") from error
        if lost := [worker for worker in self.workers if worker not in alive]:
            raise WorkersError(
                f"Lost while fitting: {', '.join(lost)} of {len(self.workers)} workers at {self.scheduler.address}. A "
                "worker that dies suddenly has usually run out of memory: use more workers (fitted_pipeline's setting "
                "`distribution`) or fit on a `sample`, and materialise fitted_pipeline again."
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
        client.workers = tuple(client.scheduler_info(n_workers=-1)["workers"])[:number]
        _check_versions(client.get_versions(packages=SAME_VERSIONS))
        yield client


def _check_versions(versions: dict[str, Any]) -> None:
    here = versions["client"]["packages"]
    for worker, found in versions["workers"].items():
        there = found["packages"]
        if different := [f"{name} {there[name]}" for name in SAME_VERSIONS if there[name] != here[name]]:
            raise WorkersError(
                f"Worker {worker} has {', '.join(different)}, unlike this process. Start the workers in the same "
                "environment (constraints.txt) and the same checkout."
            )
