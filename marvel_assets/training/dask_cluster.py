"""The processes of a distributed fit: a cluster of this machine's own, or a Dask scheduler that is there already."""

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
"""How long a scheduler that does not answer is waited for."""
JOIN_SECONDS = 60
"""How long a scheduler may take until as many workers as wanted have joined it."""
LOOK_SECONDS = 1.0
"""How often it is looked whether all workers are still there."""
SAME_VERSIONS = ("lightgbm", "numpy", "pandas", "scikit-learn")
"""Packages that must have one version on every worker and here."""


class WorkersError(RuntimeError):
    """There are no such workers, or they can't do the work; the text names the address and what to do."""


@dataclass(frozen=True)
class Workers:
    """Processes that fit together, in the order of their parts, at a scheduler's address."""

    client: Client
    addresses: tuple[str, ...]
    where: str

    def watched(self, work: Callable[[], Result]) -> Result:
        """Do work that needs all workers, and give up when one of them is lost: LightGBM would wait for it for hours.

        Raises:
            WorkersError: naming the workers that are gone.
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
                time.sleep(LOOK_SECONDS)  # LightGBM may notice the death of its neighbour before the scheduler does
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
            "dies at once has mostly run out of memory: let more workers share the rows (fitted_pipeline's setting "
            "`distribution`) or fit on a `sample`, and materialise fitted_pipeline again."
        )


@contextmanager
def dask_workers(
    number: int, scheduler: str | None, threads: int, join_seconds: float = JOIN_SECONDS
) -> Iterator[Workers]:
    """As many workers as wanted, checked to be fit for the work.

    Args:
        number: of worker processes.
        scheduler: the address of a Dask scheduler; None starts a cluster on this machine, on the loopback interface
            alone, whose processes end with the context.
        threads: of each worker, where they are started here.
        join_seconds: until so many workers must have joined the scheduler.

    Raises:
        WorkersError: there are not so many, or they have other versions than this process.
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

    # Without a limit of Dask's own, which would move or kill what is being fitted: rows are asked beforehand to fit.
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
            f"No Dask scheduler answers at {address} within {CONNECT_SECONDS} s: {error or 'silence'}. Start one with "
            "`dask scheduler`, or leave `scheduler` out of fitted_pipeline's setting `distribution` to use this "
            "machine's cores."
        ) from error
    with client:
        yield client


def _joined(client: Client, number: int, address: str, join_seconds: float) -> tuple[str, ...]:
    """The workers in the order of their names, which for a cluster of our own are numbers."""
    try:
        client.wait_for_workers(number, timeout=join_seconds)
    except TimeoutError as error:
        raise WorkersError(
            f"{address} has {len(client.ncores())} of {number} workers after {join_seconds:.0f} s. Start more with "
            f"`dask worker {address}`, or ask for fewer in fitted_pipeline's setting `distribution`."
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
                f"Worker {worker} of {address} has other packages than this process: {', '.join(different)}. Start the "
                "workers in the same environment (constraints.txt) and the same checkout."
            )


def _needs_dask() -> None:
    from importlib.util import find_spec

    if any(find_spec(module) is None for module in ("dask", "distributed")):
        raise WorkersError(
            "dask and distributed are not installed; install the extra: uv pip install 'marvel-assets[distributed]', "
            "or leave fitted_pipeline's setting `distribution` out."
        )
