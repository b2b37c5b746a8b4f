"""From the one setting that names a source to rows that can be read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from marvel_assets.sources.delta_table import DeltaSource, is_delta_table
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.files import Delivery, opened, sha256_of
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets.sources.read import read_files
from marvel_assets.utils.redaction import escape_control, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

GENERATED = "generated"
KAGGLE_PREFIX = "kaggle:"
URL_PREFIXES = ("http://", "https://")
FILE_ENDINGS = (".csv", ".parquet")
"""Which files of a folder are read."""

MOST_NAMES = 5


class Source(Protocol):
    """Raw characters, wherever they come from."""

    @property
    def label(self) -> str:
        """What a person calls it: a path, a URL, a data set's name."""

    @property
    def digest(self) -> str:
        """Equal digests mean equal bytes, so that what is unchanged need not be read."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as text, numbered by ``source_row``, as ``read_files`` describes them."""


@dataclass(frozen=True)
class FileSource:
    """A file on this machine."""

    label: str
    path: Path

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return f"sha256:{self._delivery.sha256}"

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The file's rows; an error in the end where they are not those of the digest."""
        return read_files([self._delivery])

    @cached_property
    def _delivery(self) -> Delivery:
        return _hashed(self.path, self.label)


@dataclass(frozen=True)
class FolderSource:
    """Files in one folder, read one after another; those that come later are not seen.

    Attributes:
        label: the folder.
        files: those that are read, in order.
        left_out: names of what else stands in the folder, hidden files and markers such as ``_SUCCESS`` aside.
    """

    label: str
    files: tuple[Path, ...]
    left_out: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of each file's name and SHA-256."""
        contents = [(delivery.path.name, delivery.sha256) for delivery in self._deliveries]
        return "folder:" + hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of all files, numbered through; an error in the end where they are not those of the digest."""
        return read_files(self._deliveries)

    @cached_property
    def _deliveries(self) -> list[Delivery]:
        return [_hashed(file, escape_control(str(Path(self.label) / file.name))) for file in self.files]


class FolderContent(NamedTuple):
    """What stands in a folder of deliveries: the files to read, by name, and the names of what is left out."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def files_in(folder: Path, label: str) -> FolderContent:
    """The CSV and Parquet files that stand in the folder itself, and what else does.

    Raises:
        SourceError: there is no such file, or the folder can't be listed.
    """
    try:
        visible = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
        files = tuple(path for path in visible if path.suffix.lower() in FILE_ENDINGS and not path.is_dir())
    except OSError as error:
        raise SourceError(f"{label}: the folder can't be listed: {error.strerror}.") from error
    left_out = tuple(escape_control(path.name) for path in visible if path not in files)
    if not files:
        raise SourceError(
            f"{label}: the folder holds neither *.csv nor *.parquet and is no Delta table (looked in "
            f"{folder.absolute()}, not in its subfolders; found {in_short(left_out) or 'nothing'}); put files there, "
            "unpacked, or set MARVEL_SOURCE to another place."
        )
    return FolderContent(files, left_out)


def in_short(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def is_address(setting: str) -> bool:
    """Whether the setting names something else than a file or folder of this machine."""
    return setting == GENERATED or setting.startswith((*URL_PREFIXES, KAGGLE_PREFIX))


def redact_source(setting: str) -> str:
    """The setting as pages and logs may show it."""
    return redact_url(setting) if "://" in setting else escape_control(setting)


def path_of(setting: str) -> Path:
    """The file or folder that the setting names.

    Raises:
        SourceError: the setting has an unknown scheme, there is nothing at that path, or it may not be looked at.
    """
    if "://" in setting:
        raise SourceError(
            f"{redact_url(setting)}: sources are read from a file, http://, https://, kaggle:<owner>/<dataset>, "
            "'generated', a folder of files or the folder of a Delta table."
        )
    path = Path(setting).expanduser()
    try:
        if path.is_file() or path.is_dir():
            return path
        is_there = path.exists()
    except OSError as error:  # such as a folder above it that is closed to this user
        raise SourceError(
            f"{escape_control(setting)}: can't be looked at: {error.strerror}. Let this user read it, or set "
            "MARVEL_SOURCE to another."
        ) from error
    problem = "is neither a file nor a folder" if is_there else "no such file or folder"
    raise SourceError(
        f"{escape_control(setting)}: {problem} (looked for {escape_control(str(path.absolute()))}); set MARVEL_SOURCE "
        "to one."
    )


def locate(setting: str, scratch: Path, *, generator_rows: int, generator_seed: int) -> Source:
    """Find the source that the setting names, and bring it here where it is elsewhere.

    Args:
        setting: the path of a file, of a folder of files or of a Delta table, an ``http(s)://`` URL,
            ``kaggle:<owner>/<dataset>``, or ``generated``.
        scratch: an existing folder for what is downloaded or generated.
        generator_rows: how many rows ``generated`` makes.
        generator_seed: from which seed.

    Raises:
        SourceError: there is nothing to read under that name.
    """
    if setting == GENERATED:
        return GeneratedSource(generator_rows, generator_seed, scratch)
    if setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.http import download

        return FileSource(redact_url(setting), download(setting, scratch))
    if setting.startswith(KAGGLE_PREFIX):
        from marvel_assets.sources.kaggle import download_dataset

        return FileSource(setting, download_dataset(setting.removeprefix(KAGGLE_PREFIX)))
    path, label = path_of(setting), escape_control(setting)
    if is_delta_table(path):
        return DeltaSource.newest(label, path, scratch)
    return FolderSource(label, *files_in(path, label)) if path.is_dir() else FileSource(label, path)


def _hashed(path: Path, label: str) -> Delivery:
    with opened(path, label) as content:
        return Delivery(path, label, sha256_of(content))
