"""From the one setting that names a source to a file that can be read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from marvel_assets.sources.delta import LOG, DeltaSource
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.folder import FolderSource
from marvel_assets.sources.generated import GeneratedSource

GENERATED = "generated"
KAGGLE_PREFIX = "kaggle:"
URL_PREFIXES = ("http://", "https://")


class Source(Protocol):
    """Raw characters, wherever they come from."""

    @property
    def label(self) -> str:
        """What a person calls it: a path, a URL, a data set's name."""

    @property
    def digest(self) -> str:
        """Equal digests mean equal bytes, so that what is unchanged need not be read."""

    def files(self) -> list[Path]:
        """CSV or Parquet files with the rows, one file's after the other's."""


@dataclass(frozen=True)
class FileSource:
    """A file on this machine."""

    label: str
    path: Path

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        with self.path.open("rb") as content:
            return "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()

    def files(self) -> list[Path]:
        """The file itself."""
        return [self.path]


def locate(setting: str, scratch: Path, *, generator_rows: int, generator_seed: int) -> Source:
    """Find the source that the setting names, and bring it here where it is elsewhere.

    Args:
        setting: the path of a file, a folder or a Delta table, an ``http(s)://`` URL, ``kaggle:<owner>/<dataset>``,
            or ``generated``.
        scratch: an existing folder for what is downloaded or generated.
        generator_rows: how many rows ``generated`` makes.
        generator_seed: from which seed.

    Raises:
        SourceError: there is nothing to read under that name.
    """
    if setting == GENERATED:
        return GeneratedSource(generator_rows, generator_seed, scratch)
    if setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.download import download

        return FileSource(setting, download(setting, scratch))
    if setting.startswith(KAGGLE_PREFIX):
        from marvel_assets.sources.kaggle import download_dataset

        return FileSource(setting, download_dataset(setting.removeprefix(KAGGLE_PREFIX)))
    path = local_path(setting)
    if path.is_file():
        return FileSource(setting, path)
    return DeltaSource.newest(path, scratch) if (path / LOG).is_dir() else FolderSource(setting, path)


def local_path(setting: str) -> Path:
    """The file or folder that the setting names.

    Raises:
        SourceError: there is none, or it is an address of an unknown kind.
    """
    if "://" in setting:
        raise SourceError(
            f"{setting}: sources are read from a file, a folder, a Delta table, http://, https://, "
            "kaggle:<owner>/<dataset> or 'generated'."
        )
    path = Path(setting).expanduser()
    if not path.exists():
        raise SourceError(
            f"{setting}: no such file or folder (looked for {path.absolute()}); set MARVEL_SOURCE to one."
        )
    return path
