"""Files that others may write to while they are read: what was hashed is what was read, or nothing is."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from marvel_assets.sources.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path


class Delivery(NamedTuple):
    """A file to read.

    Attributes:
        path: where it is.
        label: what its errors begin with.
        sha256: of the bytes that are meant; any where it is None.
    """

    path: Path
    label: str
    sha256: str | None = None


@contextmanager
def opened(path: Path, label: str) -> Iterator[BufferedReader]:
    """The file's bytes.

    Raises:
        SourceError: it can't be opened or read, or is no ordinary file, whose end might never come.
    """
    try:
        if path.exists() and not path.is_file():
            raise SourceError(f"{label}: is no ordinary file; expected CSV or Parquet.")
        content = path.open("rb")
    except OSError as error:
        raise SourceError(f"{label}: the file can't be opened: {error.strerror}.") from error
    with content:
        try:
            yield content
        except OSError as error:
            raise SourceError(f"{label}: the file can't be read: {error.strerror or error}.") from error


def sha256_of(content: BufferedReader) -> str:
    """Of all bytes, wherever the file stands."""
    content.seek(0)
    return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def unchanged(delivery: Delivery) -> Iterator[BufferedReader]:
    """The file's bytes, and a last look at them: they must still be those that are meant.

    Raises:
        SourceError: they are not. It takes the place of the errors that a half-written file leads to.
    """
    with opened(delivery.path, delivery.label) as content:
        try:
            yield content
        except SourceError as error:
            if _is_meant(content, delivery):
                raise
            raise _changed(delivery) from error
        if not _is_meant(content, delivery):
            raise _changed(delivery)


def _is_meant(content: BufferedReader, delivery: Delivery) -> bool:
    return delivery.sha256 is None or sha256_of(content) == delivery.sha256


def _changed(delivery: Delivery) -> SourceError:
    return SourceError(
        f"{delivery.label}: the file was changed while it was read, so nothing of it is kept. Run again when it is "
        "complete; whoever delivers should write under another name and rename at the end."
    )
