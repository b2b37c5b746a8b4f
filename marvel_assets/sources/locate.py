"""Finds the source that a setting names: its rows, or a cheap fingerprint of whether they changed."""

from __future__ import annotations

import hashlib
import json
import os
import textwrap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.sources.base import Source, SourceError
from marvel_assets.sources.delta import DeltaSource, is_delta_table
from marvel_assets.sources.files import InputFile, hashed, read_files
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets.utils.redaction import escape_control, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from marvel_assets.config import Generator
    from marvel_assets.datasets.base import Dataset

GENERATED = "generated"
KAGGLE_PREFIX = "kaggle:"
URL_PREFIXES = ("http://", "https://")
FILE_ENDINGS = (".csv", ".csv.gz", ".parquet")
"""Which files of a folder are read."""

MAX_NAMES_LENGTH = 200

_NOT_WRITTEN_TO = Path(os.devnull)


@dataclass(frozen=True)
class FileSource:
    """A CSV or Parquet file on this machine, or those of a folder, read one after another.

    Attributes:
        label: the file or folder.
        path: where it is.
        dataset: names the columns.
        of_folder: the files of the folder that are read, in order; files added later are ignored.
        notes: what else is in the folder, but for hidden files and markers such as ``_SUCCESS``.
    """

    label: str
    path: Path
    dataset: Dataset
    of_folder: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of each file's SHA-256 and, in a folder, its name."""
        contents = [(file.path.name if self.of_folder else "", file.sha256) for file in self._hashed]
        return "files:" + hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of all files, numbered consecutively; an error at the end if they don't match the digest."""
        return read_files(self._hashed, self.dataset.source_columns, self.dataset.encoding)

    @cached_property
    def _hashed(self) -> list[InputFile]:
        named = [(path, escape_control(str(Path(self.label) / path.name))) for path in self.of_folder]
        return [hashed(path, label) for path, label in named or [(self.path, self.label)]]


def locate(setting: str, scratch: Path, dataset: Dataset, generator: Generator) -> Source:
    """Find the source that the setting names, and download it if it is remote.

    Args:
        setting: the path of a file, of a folder of files or of a Delta table, an ``http(s)://`` URL,
            ``kaggle:<owner>/<dataset>``, or ``generated``.
        scratch: an existing folder for what is downloaded or generated.
        dataset: names the columns, and the sources that have a short name.
        generator: how many rows ``generated`` makes, and from which seed.

    Raises:
        SourceError: there is nothing to read under that name.
    """
    setting = dataset.sources.get(setting, setting)
    if setting == GENERATED:
        return GeneratedSource(generator.rows, generator.seed, scratch, dataset)
    if setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.http import download

        return FileSource(redact_url(setting), download(setting, scratch), dataset)
    if setting.startswith(KAGGLE_PREFIX):
        from marvel_assets.sources.kaggle import download_dataset

        return FileSource(setting, download_dataset(setting.removeprefix(KAGGLE_PREFIX)), dataset)
    path, label = path_of(setting), escape_control(setting)
    if is_delta_table(path):
        return DeltaSource.newest(label, path, scratch, dataset)
    return _folder(path, label, dataset) if path.is_dir() else FileSource(label, path, dataset)


def fingerprint(setting: str, dataset: Dataset, generator: Generator) -> str | None:
    """Look at a source, as ``locate`` would find it, without reading it whole.

    Equal fingerprints mean that nothing points to a change. Different ones mean that the source may have changed: its
    digest shows whether it has.

    Args:
        setting: what ``locate`` takes.
        dataset: names the sources that have a short name.
        generator: how many rows ``generated`` makes, and from which seed.

    Returns:
        A hash, since addresses may hold secrets and folders many files; None where only reading the source can tell.

    Raises:
        SourceError: there is nothing under that name any more, or no answer in time.
    """
    setting = dataset.sources.get(setting, setting)
    state = _state_of(setting, dataset, generator)
    return None if state is None else hashlib.sha256(json.dumps([setting, state]).encode()).hexdigest()


def is_address(setting: str) -> bool:
    """Whether the setting names something other than a file or folder on this machine."""
    return setting == GENERATED or setting.startswith((*URL_PREFIXES, KAGGLE_PREFIX))


def redact_source(setting: str) -> str:
    """The setting as pages and logs may show it."""
    return redact_url(setting) if "://" in setting else escape_control(setting)


def path_of(setting: str) -> Path:
    """The file or folder that the setting names.

    Raises:
        SourceError: the setting has an unknown scheme, there is nothing at that path, or it can't be opened.
    """
    if "://" in setting:
        raise SourceError(
            f"{redact_url(setting)}: sources are read from a file, http://, https://, kaggle:<owner>/<dataset>, "
            "'generated', a folder of files or the folder of a Delta table."
        )
    path = Path(os.path.expanduser(setting))  # noqa: PTH111 - keeps the ~ of a user who isn't there
    try:
        if path.is_file() or path.is_dir():
            return path
        is_there = path.exists()
    except OSError as error:  # such as a parent folder that this user may not enter
        raise SourceError(
            f"{escape_control(setting)}: can't be opened: {error.strerror}. Give this user read permission, or set "
            "MARVEL_SOURCE to another source."
        ) from error
    problem = "is neither a file nor a folder" if is_there else "no such file or folder"
    raise SourceError(
        f"{escape_control(setting)}: {problem} (looked for {escape_control(str(path.absolute()))}); set MARVEL_SOURCE "
        "to one."
    )


def _state_of(setting: str, dataset: Dataset, generator: Generator) -> object:
    """What changes when the source changes, or None where only reading shows it."""
    if setting == GENERATED:
        return GeneratedSource(generator.rows, generator.seed, _NOT_WRITTEN_TO, dataset).digest
    if setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.http import remote_version

        return remote_version(setting)
    if setting.startswith(KAGGLE_PREFIX):
        return "pinned" if "/versions/" in setting else None
    path = path_of(setting)
    if is_delta_table(path):
        return DeltaSource.newest(setting, path, _NOT_WRITTEN_TO, dataset).digest
    files = _folder(path, setting, dataset).of_folder if path.is_dir() else (path,)
    states = [(file.name, file.stat()) for file in files]
    return [(name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in states]


def _folder(folder: Path, label: str, dataset: Dataset) -> FileSource:
    """The CSV and Parquet files directly in the folder, and a note of what else is there.

    Raises:
        SourceError: there is no such file, or the folder can't be listed.
    """
    try:
        visible = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
        files = tuple(path for path in visible if path.name.lower().endswith(FILE_ENDINGS) and not path.is_dir())
    except OSError as error:
        raise SourceError(f"{label}: the folder can't be listed: {error.strerror}.") from error
    left_out = ", ".join(escape_control(path.name) for path in visible if path not in files)
    left_out = textwrap.shorten(left_out, MAX_NAMES_LENGTH, placeholder=" …")
    if not files:
        raise SourceError(
            f"{label}: the folder holds no *.csv, *.csv.gz or *.parquet and is not a Delta table (looked in "
            f"{folder.absolute()}, not in its subfolders; found {left_out or 'nothing'}); put files there, "
            "unpacked, or set MARVEL_SOURCE to another place."
        )
    note = (
        f"{label}: {left_out} not read; only *.csv, *.csv.gz and *.parquet files directly in the folder are. Unpack "
        "other packed files, and move those of subfolders up."
    )
    return FileSource(label, folder, dataset, files, (note,) if left_out else ())
