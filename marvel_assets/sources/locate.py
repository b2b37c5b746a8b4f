"""From the one setting that names a source to rows that can be read."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from marvel_assets.sources.addresses import shown
from marvel_assets.sources.delta_table import DeltaSource, is_delta_table
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets.sources.limits import USUAL, Limits
from marvel_assets.sources.read import read_batches, read_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

GENERATED = "generated"
KAGGLE_PREFIX = "kaggle:"
URL_PREFIXES = ("http://", "https://")
FILE_ENDINGS = (".csv", ".parquet")
"""Which files of a folder are read."""


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
        return "sha256:" + _sha256(self.path, self.label)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The file's rows."""
        return read_batches(self.path, self.label)


@dataclass(frozen=True)
class FolderSource:
    """Files in one folder, read one after another; those that come later are not seen."""

    label: str
    files: tuple[Path, ...]

    @cached_property
    def digest(self) -> str:
        """Of each file's name and SHA-256."""
        contents = [(file.name, _sha256(file, self._label_of(file))) for file in self.files]
        return "folder:" + hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of all files, numbered through."""
        return read_files((file, self._label_of(file)) for file in self.files)

    def _label_of(self, file: Path) -> str:
        return str(Path(self.label) / file.name)


def files_in(folder: Path, label: str) -> tuple[Path, ...]:
    """The CSV and Parquet files that stand in the folder itself, by name; hidden ones are left out.

    Raises:
        SourceError: there is none, or the folder can't be listed.
    """
    try:
        files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in FILE_ENDINGS and not path.name.startswith(".") and not path.is_dir()
        )
    except OSError as error:
        raise SourceError(f"{label}: the folder can't be listed: {error.strerror}.") from error
    if not files:
        raise SourceError(
            f"{label}: the folder holds neither *.csv nor *.parquet and is no Delta table (looked in "
            f"{folder.absolute()}, not in its subfolders); put files there, or set MARVEL_SOURCE to another place."
        )
    return tuple(files)


def path_of(setting: str) -> Path:
    """The file or folder that the setting names.

    Raises:
        SourceError: the setting has an unknown scheme, or there is nothing at that path.
    """
    if "://" in setting:
        raise SourceError(
            f"{shown(setting)}: sources are read from a file, http://, https://, kaggle:<owner>/<dataset>, "
            "'generated', a folder of files or the folder of a Delta table."
        )
    path = Path(setting).expanduser()
    if not (path.is_file() or path.is_dir()):
        raise SourceError(
            f"{setting}: no such file or folder (looked for {path.absolute()}); set MARVEL_SOURCE to one."
        )
    return path


def locate(setting: str, scratch: Path, *, generator_rows: int, generator_seed: int, limits: Limits = USUAL) -> Source:
    """Find the source that the setting names, and bring it here where it is elsewhere.

    Args:
        setting: the path of a file, of a folder of files or of a Delta table, an ``http(s)://`` URL,
            ``kaggle:<owner>/<dataset>``, or ``generated``.
        scratch: an existing folder for what is downloaded or generated.
        generator_rows: how many rows ``generated`` makes.
        generator_seed: from which seed.
        limits: of what is behind a URL.

    Raises:
        SourceError: there is nothing to read under that name.
    """
    if setting == GENERATED:
        return GeneratedSource(generator_rows, generator_seed, scratch)
    if setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.download import download

        return FileSource(shown(setting), download(setting, scratch, limits))
    if setting.startswith(KAGGLE_PREFIX):
        from marvel_assets.sources.kaggle import download_dataset

        return FileSource(setting, download_dataset(setting.removeprefix(KAGGLE_PREFIX)))
    path = path_of(setting)
    if is_delta_table(path):
        return DeltaSource.newest(setting, path, scratch)
    return FolderSource(setting, files_in(path, setting)) if path.is_dir() else FileSource(setting, path)


def _sha256(path: Path, label: str) -> str:
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{label}: the file can't be read: {error.strerror}.") from error
