"""The engine that makes tables: one interface for DuckDB and Spark."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import dagster as dg

if TYPE_CHECKING:
    from marvel_assets.sources.base import Source

TablePath = Path | str
"""Where a Delta table is: in a folder, or (a text) under its three-level name in the catalog of the Spark session."""

TABLE_PROPERTIES = {"delta.enableChangeDataFeed": "true", "delta.enableExpiredLogCleanup": "false"}
"""Of every table that is created. Delta would by default delete commits that the clock calls a month old, and with them
the way back to the versions that models were fitted on; a clock that is set forward makes all of them old."""

ROW_DIGEST = "row_digest"
"""The column that a relation's fingerprint is made of; it is never written to a table."""


class ChangesNotKeptError(LookupError):
    """A table's change data feed does not reach back to where it was asked for."""


class ScratchSpaceError(RuntimeError):
    """Neither memory nor the scratch folder holds what a step needs; the text names the folder."""


class TableNotWrittenError(RuntimeError):
    """A commit failed; the text names the table's place and the reason."""


class Content(NamedTuple):
    """How many rows a relation has, and a hash of its columns and rows that leaves the rows' order out."""

    rows: int
    digest: str

    @classmethod
    def of(cls, columns: list[str], rows: int, sums: tuple[int, ...]) -> Content:
        """Combine the sums of the four words of all row digests: an additive multiset hash."""
        text = ",".join(str(part) for part in (*columns, rows, *sums))
        return cls(rows, hashlib.sha256(text.encode()).hexdigest()[:32])


class EngineSession(ABC):
    """One engine at work. Relations are known by name, and live as long as the session."""

    @abstractmethod
    def read_source(self, source: Source, into: str) -> None:
        """Read a source's columns as text, numbered by ``source_row``."""

    @abstractmethod
    def read_table(self, location: TablePath, version: int, into: str) -> None:
        """Make one version of a Delta table known by a name.

        Raises:
            TableNotFoundError: there is no such version, or a file of it is missing or broken.
        """

    @abstractmethod
    def read_changes(self, location: TablePath, first: int, last: int, into: str) -> None:
        """Make the change data feed of some versions of a table known by a name, with ``_change_type``.

        Raises:
            ChangesNotKeptError: the table keeps no such feed, or no longer for these versions.
        """

    @abstractmethod
    def score(self, relation: str, model: Path, into: str) -> None:
        """Add what the custom model answers for each row: ``prediction`` in words, and ``probability``.

        Args:
            relation: rows with the model's features.
            model: folder of the model's files, as they were checked: nothing is fetched anew.
            into: the name of the result.
        """

    @abstractmethod
    def create_table_as(self, statement: str, into: str) -> None:
        """Run a SELECT once and keep its rows under a name."""

    @abstractmethod
    def create_view(self, statement: str, into: str) -> None:
        """Give a SELECT a name. It is run where the name is read: for what is read once, or nearly free to make."""

    @abstractmethod
    def fetchall(self, statement: str) -> list[tuple[object, ...]]:
        """Run a SELECT and fetch all its rows; for results that fit into memory."""

    @abstractmethod
    def fingerprint(self, relation: str) -> Content:
        """Count and hash a relation that has a ``row_digest``."""

    @abstractmethod
    def write(self, relation: str, location: TablePath, metadata: str) -> None:
        """Replace a Delta table's rows by a relation's, without its ``row_digest``, in one commit.

        Args:
            relation: the rows.
            location: the table; created where there is none, with change data feed on.
            metadata: the commit's ``userMetadata``.
        """


class Engine(dg.ConfigurableResource, ABC):  # type: ignore[type-arg]
    """A resource that opens sessions of DuckDB or Spark."""

    def problems(self) -> list[str]:
        """What a session would lack; nothing where it runs in this process."""
        return []

    @abstractmethod
    def session(self) -> AbstractContextManager[EngineSession]:
        """A session of its own for each step."""
