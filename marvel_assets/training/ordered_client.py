"""A Dask client with which ``lightgbm.dask`` always ranks its machines in the same order."""

from __future__ import annotations

from typing import Any

from distributed import Client


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
        return dict(
            sorted(found.items(), key=lambda held: min((rank.get(who, len(rank)) for who in held[1]), default=0))
        )
