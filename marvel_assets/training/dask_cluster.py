"""The workers of a distributed fit: a cluster on this machine, or an existing Dask scheduler."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from distributed import Client

    from marvel_assets.training.ordered_client import OrderedClient

Result = TypeVar("Result")

LOCALHOST = "127.0.0.1"
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


@dataclass(frozen=True)
class Workers:
    """The workers of one fit, in the order of their parts, at the scheduler's address ``where``."""

    client: Client
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

    Args:
        number: of worker processes.
        scheduler: the address of a Dask scheduler; None starts a cluster on this machine's loopback interface, which
            ends with the context.
        threads: of each worker, if they are started here.
        join_seconds: how long to wait until all workers have joined.

    Raises:
        WorkersError: there are too few, or their versions differ from this process's.
    """
    _needs_dask()
    with ExitStack() as stack:
        address = stack.enter_context(_own_cluster(number, threads)) if scheduler is None else scheduler
        client = stack.enter_context(_connected(address))
        client.order = _joined(client, number, address, join_seconds)
        _check_versions(client, address)
        yield Workers(client, client.order, address)


@contextmanager
def _own_cluster(number: int, threads: int) -> Iterator[str]:
    from distributed import LocalCluster

    # Without Dask's memory limit, which would spill or kill a running fit.
    with LocalCluster(
        host=LOCALHOST,
        n_workers=number,
        threads_per_worker=threads,
        processes=True,
        memory_limit=0,
        dashboard_address=None,
        worker_dashboard_address=None,
    ) as cluster:
        yield str(cluster.scheduler_address)


@contextmanager
def _connected(address: str) -> Iterator[OrderedClient]:
    from marvel_assets.training.ordered_client import OrderedClient

    try:
        client = OrderedClient(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise WorkersError(
            f"No Dask scheduler answers at {address} within {CONNECT_SECONDS} s: {error or 'timeout'}. Start one with "
            "`dask scheduler`, or remove `scheduler` from fitted_pipeline's setting `distribution` to use this "
            "machine's cores."
        ) from error
    with client:
        yield client


def _joined(client: Client, number: int, address: str, join_seconds: float) -> tuple[str, ...]:
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


def _check_versions(client: Client, address: str) -> None:
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


def _needs_dask() -> None:
    from importlib.util import find_spec

    if any(find_spec(module) is None for module in ("dask", "distributed")):
        raise WorkersError(
            "dask and distributed are not installed; install the extra: uv pip install 'marvel-assets[distributed]', "
            "or remove fitted_pipeline's setting `distribution`."
        )
