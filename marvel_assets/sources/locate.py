"""Finds the source that a setting names: its rows, or a cheap fingerprint of whether they changed."""

from __future__ import annotations

import hashlib
import json
import os
import textwrap
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.sources.base import Source, SourceError, cast_to_strings, check_columns, expected, number_rows
from marvel_assets.sources.delta import DeltaSource
from marvel_assets.sources.files import InputFile, hashed, read_files
from marvel_assets.utils.code_versions import code_version
from marvel_assets.utils.redaction import escape_control, redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import pyarrow as pa

    from marvel_assets.config import Generator
    from marvel_assets.datasets.base import Dataset

GENERATED = "generated"
KAGGLE_PREFIX = "kaggle:"
URL_PREFIXES = ("http://", "https://")
FILE_ENDINGS = (".csv", ".csv.gz", ".parquet")
MAX_NAMES_LENGTH = 200


@dataclass(frozen=True)
class FileSource:
    """A CSV or Parquet file on this machine, or those of a folder, read one after another.

    Attributes:
        of_folder: those files, in order; files added later are ignored.
        notes: what else is in the folder, but for hidden files and markers such as ``_SUCCESS``.
    """

    label: str
    path: Path
    dataset: Dataset
    of_folder: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """Of the files' contents, in their order."""
        return "files:" + hashlib.sha256(json.dumps([file.sha256 for file in self._hashed]).encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows of all files, numbered consecutively; an error at the end if they don't match the digest."""
        return read_files(self._hashed, self.dataset.source_columns, self.dataset.encoding)

    def states(self) -> list[tuple[object, ...]]:
        """What changes when a file changes, without reading it."""
        files = [(file.name, file.stat()) for file in self.of_folder or (self.path,)]
        return [(name, state.st_size, state.st_mtime_ns, state.st_ino) for name, state in files]

    @cached_property
    def _hashed(self) -> list[InputFile]:
        named = {path: escape_control(str(Path(self.label) / path.name)) for path in self.of_folder}
        return [hashed(path, label) for path, label in (named or {self.path: self.label}).items()]


@dataclass(frozen=True)
class GeneratedSource:
    """Rows of the data set's seeded generator, so that a first run needs no download."""

    rows: int
    seed: int
    dataset: Dataset
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The size and the seed."""
        return f"generated ({self.rows:,} rows, seed {self.seed})"

    @property
    def digest(self) -> str:
        """Of size, seed and the code that the generator runs: together they decide every byte."""
        code = code_version(self._generator().__name__)
        return "generated:" + hashlib.sha256(f"{self.rows},{self.seed},{code}".encode()).hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Generate the rows, as text."""
        import pyarrow as pa

        columns = self.dataset.source_columns
        rows = pa.Table.from_pandas(self._generator().generate(self.rows, self.seed), preserve_index=False)
        check_columns(rows.column_names, columns, self.label)
        batches = rows.to_batches(max_chunksize=50_000)
        return number_rows((cast_to_strings(batch, columns, self.label) for batch in batches), columns)

    def _generator(self) -> ModuleType:
        module = f"{self.dataset.package}.generator"
        if find_spec(module) is None:
            raise SourceError(
                f"The data set {self.dataset.name} has no generator: set MARVEL_SOURCE to a file or URL with "
                f"{expected(self.dataset.source_columns)}."
            )
        return import_module(module)


def locate(setting: str, scratch: Path, dataset: Dataset, generator: Generator) -> Source:
    """Find the source that the setting names, and download it if it is remote.

    Args:
        setting: the path of a file, of a folder of files or of a Delta table, an ``http(s)://`` URL,
            ``kaggle:<owner>/<dataset>``, ``generated``, or a short name that the data set declares.
        scratch: an existing folder for what is downloaded or sorted.
        dataset: names the columns.
        generator: the size and seed of ``generated``.
    """
    setting = dataset.sources.get(setting, setting)
    if not setting.startswith((*URL_PREFIXES, KAGGLE_PREFIX)):
        return _local(setting, scratch, dataset, generator)
    from marvel_assets.sources import remote  # requests takes its time to load

    if setting.startswith(KAGGLE_PREFIX):
        return FileSource(setting, remote.download_kaggle(setting.removeprefix(KAGGLE_PREFIX)), dataset)
    return FileSource(redact_url(setting), remote.download(setting, scratch), dataset)


def fingerprint(setting: str, dataset: Dataset, generator: Generator) -> str | None:
    """A hash of what a cheap look at a source shows, or None where only reading it can tell whether it has changed."""
    setting = dataset.sources.get(setting, setting)
    state: object
    if setting.startswith(KAGGLE_PREFIX):
        state = "pinned" if "/versions/" in setting else None
    elif setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.remote import remote_version

        state = remote_version(setting)
    else:
        source = _local(setting, Path(os.devnull), dataset, generator)
        state = source.states() if isinstance(source, FileSource) else source.digest
    return None if state is None else hashlib.sha256(json.dumps([setting, state]).encode()).hexdigest()


def is_address(setting: str) -> bool:
    """Whether the setting names something other than a file or folder on this machine."""
    return setting == GENERATED or setting.startswith((*URL_PREFIXES, KAGGLE_PREFIX))


def redact_source(setting: str) -> str:
    """The setting as pages and logs may show it."""
    return redact_url(setting) if "://" in setting else escape_control(setting)


def path_of(setting: str) -> Path:
    """The file or folder that the setting names, or a SourceError that says why there is none."""
    if "://" in setting:
        raise SourceError(
            f"{redact_url(setting)}: sources are read from a file, http://, https://, kaggle:<owner>/<dataset>, "
            "'generated', a folder of files or the folder of a Delta table."
        )
    path, label = Path(os.path.expanduser(setting)), escape_control(setting)  # noqa: PTH111 - keeps an unknown user's ~
    try:
        if path.is_file() or path.is_dir():
            return path
    except OSError as error:  # such as a parent folder that this user may not enter
        raise SourceError(
            f"{label}: can't be opened: {error.strerror}. Give this user read permission, or set MARVEL_SOURCE to "
            "another source."
        ) from error
    where = escape_control(str(path.absolute()))
    raise SourceError(f"{label}: no such file or folder (looked for {where}); set MARVEL_SOURCE to one.")


def _local(setting: str, scratch: Path, dataset: Dataset, generator: Generator) -> Source:
    """A source for which nothing has to be downloaded."""
    if setting == GENERATED:
        return GeneratedSource(generator.rows, generator.seed, dataset)
    path, label = path_of(setting), escape_control(setting)
    if (path / "_delta_log").is_dir():
        return DeltaSource.newest(label, path, scratch, dataset)
    return _folder(path, label, dataset) if path.is_dir() else FileSource(label, path, dataset)


def _folder(folder: Path, label: str, dataset: Dataset) -> FileSource:
    """The CSV and Parquet files directly in the folder, and a note of what else is there."""
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
            f"{folder.absolute()}, not in its subfolders; found {left_out or 'nothing'}); put files there, unpacked, "
            "or set MARVEL_SOURCE to another place."
        )
    note = (
        f"{label}: {left_out} not read; only *.csv, *.csv.gz and *.parquet files directly in the folder are. Unpack "
        "other packed files, and move those of subfolders up."
    )
    return FileSource(label, folder, dataset, files, (note,) if left_out else ())
