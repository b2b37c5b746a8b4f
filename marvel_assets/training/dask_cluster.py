"""The workers of a distributed fit: a cluster on this machine, or an existing Dask scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, TypeVar

try:
    from distributed import Client, LocalCluster
except ImportError as error:
    raise ImportError(
        "dask and distributed are not installed; install the extra: uv pip install 'marvel-assets[distributed]', or "
        "remove fitted_pipeline's setting `distribution`."
    ) from error

Result = TypeVar("Result")

CONNECT_SECONDS = 10
"""How long to wait for the scheduler's answer."""
JOIN_SECONDS = 60
"""How long to wait until all workers have joined the scheduler."""
LOOK_SECONDS = 1.0
"""How often to check that all workers are still there."""
SAME_VERSIONS = ("lightgbm", "numpy", "pandas", "scikit-learn")
"""Packages that must have the same version on every worker and here."""


class WorkersError(RuntimeError):
    """Workers are missing, lost or unsuitable; the text names the address and what to do."""


class OrderedClient(Client):  # type: ignore[misc]
    """Returns ``who_has`` in the order of the workers.

    ``lightgbm.dask`` numbers its machines in the order of ``who_has``, which Dask answers from a set: it would differ
    between processes, and with it the last bits of the trees.
    """

    order: tuple[str, ...] = ()
    """The workers' addresses."""

    def who_has(self, futures: Any = None, **options: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
        """The workers that hold each result, ordered by worker."""
        found: dict[str, tuple[str, ...]] = super().who_has(futures, **options)
        rank = {address: place for place, address in enumerate(self.order)}
        return dict(sorted(found.items(), key=lambda held: min(rank.get(who, len(rank)) for who in held[1])))


class Workers(NamedTuple):
    """The workers of one fit, in the order of their parts, at the scheduler's address ``where``."""

    client: OrderedClient
    addresses: tuple[str, ...]
    where: str

    def watched(self, work: Callable[[], Result]) -> Result:
        """Do work that needs all workers, and stop when one of them is lost: LightGBM would wait for it for hours.

        Raises:
            WorkersError: naming the workers that are lost.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="fit") as alone:
            doing = alone.submit(work)
            try:
                while not (done := wait([doing], timeout=LOOK_SECONDS).done) and not (lost := self._lost()):
                    pass
            except BaseException:
                self.client.close()  # releases the other thread, which this one would wait for
                raise
            if not done:
                self.client.close()
                raise self._lost_error(lost)
            error = doing.exception()
            if error is not None:
                time.sleep(LOOK_SECONDS)  # LightGBM may notice a lost worker before the scheduler does
                if lost := self._lost():
                    raise self._lost_error(lost) from error
            return doing.result()

    def _lost(self) -> list[str]:
        try:
            there = self.client.ncores()
        except (OSError, TimeoutError) as error:
            return [f"{self.where} itself ({error})"]
        return [address for address in self.addresses if address not in there]

    def _lost_error(self, lost: Sequence[str]) -> WorkersError:
        return WorkersError(
            f"Lost while fitting: {', '.join(lost)} of {len(self.addresses)} workers at {self.where}. A worker that "
            "dies suddenly has usually run out of memory: use more workers (fitted_pipeline's setting "
            "`distribution`) or fit on a `sample`, and materialise fitted_pipeline again."
        )


@contextmanager
def dask_workers(
    number: int, scheduler: str | None, threads: int, join_seconds: float = JOIN_SECONDS
) -> Iterator[Workers]:
    """Connect to workers, and check their package versions.

    Without the address of a Dask ``scheduler``, start a cluster with so many ``threads`` in each worker, on this
    machine's loopback interface; it ends with the context.

    Raises:
        WorkersError: there are too few, or their versions differ from this process's.
    """
    with ExitStack() as stack:
        if scheduler is None:
            # Without Dask's memory limit, which would spill or kill a running fit.
            cluster = LocalCluster(
                number, host="127.0.0.1", threads_per_worker=threads, processes=True, memory_limit=0,
                dashboard_address=None, worker_dashboard_address=None,
            )  # fmt: skip
            scheduler = str(stack.enter_context(cluster).scheduler_address)
        client = stack.enter_context(_connected(scheduler))
        client.order = _joined(client, number, scheduler, join_seconds)
        _check_versions(client, scheduler)
        yield Workers(client, client.order, scheduler)


def _connected(address: str) -> OrderedClient:
    try:
        return OrderedClient(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise WorkersError(
            f"No Dask scheduler answers at {address} within {CONNECT_SECONDS} s: {error or 'timeout'}. Start one with "
            "`dask scheduler`, or remove `scheduler` from fitted_pipeline's setting `distribution` to use this "
            "machine's cores."
        ) from error


def _joined(client: OrderedClient, number: int, address: str, join_seconds: float) -> tuple[str, ...]:
    """The workers in the order of their names, which in a local cluster are numbers."""
    try:
        client.wait_for_workers(number, timeout=join_seconds)
    except TimeoutError as error:
        raise WorkersError(
            f"{address} has {len(client.ncores())} of {number} workers after {join_seconds:.0f} s. Start more with "
            f"`dask worker {address}`, or set fewer in fitted_pipeline's setting `distribution`."
        ) from error
    known = client.scheduler_info(n_workers=-1)["workers"]
    named = sorted(known, key=lambda worker: (len(str(known[worker]["name"])), str(known[worker]["name"])))
    return tuple(named[:number])


def _check_versions(client: OrderedClient, address: str) -> None:
    versions = client.get_versions(packages=list(SAME_VERSIONS))
    here = versions["client"]["packages"]
    for worker, found in versions["workers"].items():
        there = found["packages"]
        different = [
            f"{name} {there[name]} there and {here[name]} here" for name in SAME_VERSIONS if there[name] != here[name]
        ]
        if different:
            raise WorkersError(
                f"Worker {worker} of {address} has different packages from this process: {', '.join(different)}. Start "
                "the workers in the same environment (constraints.txt) and the same checkout."
            )
