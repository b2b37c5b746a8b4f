"""A Dask client under which ``lightgbm.dask`` ranks its machines in one and the same order."""

from __future__ import annotations

from typing import Any

from distributed import Client


class OrderedClient(Client):  # type: ignore[misc]
    """Reports who has what in the order of the workers.

    ``lightgbm.dask`` numbers its machines as ``who_has`` names them, and Dask asks for a set of keys: the order would
    be another one in each process, and with it the trees in their last bits.
    """

    order: tuple[str, ...] = ()
    """The workers' addresses."""

    def who_has(self, futures: Any = None, **options: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401
        """The workers that hold each result, those of the first worker first."""
        found: dict[str, tuple[str, ...]] = super().who_has(futures, **options)
        rank = {address: place for place, address in enumerate(self.order)}
        return dict(
            sorted(found.items(), key=lambda held: min((rank.get(who, len(rank)) for who in held[1]), default=0))
        )
