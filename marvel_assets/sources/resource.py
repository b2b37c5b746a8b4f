"""Where raw characters come from, as a resource."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from marvel_assets.config import Generator, ProjectConfig
from marvel_assets.datasets.base import Dataset
from marvel_assets.sources.base import Source, SourceError, cast_to_strings
from marvel_assets.sources.delta import DeltaSource
from marvel_assets.sources.files import FileSource
from marvel_assets.utils.code_versions import code_version, make_cache_key
from marvel_assets.utils.files import atomic_write, temporary_folder
from marvel_assets.utils.redaction import escape_control, redact_url

if TYPE_CHECKING:
    import pyarrow as pa

GENERATED = "generated"
KAGGLE_PREFIX = "kaggle:"
URL_PREFIXES = ("http://", "https://")
FILE_ENDINGS = (".csv", ".csv.gz", ".parquet")
EXPECTED = (
    "a CSV or Parquet file, a folder of such files or of a Delta table, an http(s) URL, kaggle:<owner>/<dataset>, or "
    "'generated'"
)


class SourceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Finds the source that a run asks for, else that of $MARVEL_SOURCE, the last one, or the data set's default.

    The variable is no setting of the resource, since pages show those, and an address may hold secrets.
    """

    scratch: str = Field(description="Folder for what is downloaded or sorted, emptied afterwards.")
    last_read: str = Field(description="File that keeps which source was last read.")

    @contextmanager
    def located(self, setting: str | None, config: ProjectConfig) -> Iterator[Source]:
        """The source named by the setting, or the default; downloads are deleted at the end.

        A source that was read without an error is the default of later runs that name none.
        """
        with temporary_folder(Path(self.scratch)) as folder:
            setting = self._resolve(setting, config.dataset)
            source = locate(setting, folder, config.dataset, config.generator)
            if isinstance(source, FileSource) and source.skipped:
                dg.get_dagster_logger().warning(
                    f"{source.label}: {source.skipped} not read; only *.csv, *.csv.gz and *.parquet files directly in "
                    "the folder are. Unpack other packed files, and move those of subfolders up."
                )
            yield source
            label = redact_source(setting)
            last = {"label": label, "setting": setting if label == setting else None}  # no address that holds a secret
            with atomic_write(Path(self.last_read)) as unfinished:
                unfinished.write_text(json.dumps(last), encoding="utf-8")

    def fingerprint(self, setting: str | None, config: ProjectConfig) -> str:
        """A cheap look at the source named by the setting, or the default; equal where nothing points to a change.

        Where only reading could show a change (the server reports neither a version nor a time), it differs each day.
        """
        setting = self._resolve(setting, config.dataset)
        state: object = None
        if setting.startswith(URL_PREFIXES):
            from marvel_assets.sources.remote import remote_version

            state = remote_version(setting)
        elif not setting.startswith(KAGGLE_PREFIX):
            source = locate(setting, Path(self.scratch), config.dataset, config.generator)
            state = source.states() if isinstance(source, FileSource) else source.digest
        return make_cache_key(setting, state or time.strftime("%Y-%m-%d"))

    def label(self, setting: str | None, config: ProjectConfig) -> str:
        """The source named by the setting, or the default, as pages may show it."""
        return redact_source(self._resolve(setting, config.dataset))

    def _resolve(self, setting: str | None, dataset: Dataset) -> str:
        """The setting, or the default: a path is absolute, so that it means the same in another folder."""
        setting = setting or os.environ.get("MARVEL_SOURCE") or self._last_setting() or dataset.default_source
        if setting is None:
            raise SourceError(
                f"MARVEL_SOURCE is not set, and the data set {dataset.name} has no default source; set it to "
                f"{EXPECTED}."
            )
        setting = dataset.sources.get(setting, setting)
        if setting == GENERATED or setting.startswith((*URL_PREFIXES, KAGGLE_PREFIX)):
            return setting
        path = os.path.expanduser(setting)  # noqa: PTH111 - keeps an unknown user's ~
        if os.path.isdir(path) or os.path.isfile(path):  # noqa: PTH112, PTH113 - False where none may enter
            return str(Path(path).absolute())
        raise SourceError(
            f"{redact_source(setting)}: no such file or folder that this user can read (relative to {Path.cwd()}); set "
            f"MARVEL_SOURCE to {EXPECTED}."
        )

    def _last_setting(self) -> str | None:
        """The source that was last read, so that a forgotten MARVEL_SOURCE doesn't train on synthetic rows."""
        if not Path(self.last_read).exists():
            return None
        last: dict[str, str | None] = json.loads(Path(self.last_read).read_text(encoding="utf-8"))
        if last["setting"] is None:
            raise SourceError(
                f"{last['label']}: this home's rows come from there, and its address is not stored since it may "
                "hold a secret. Set MARVEL_SOURCE to it again, or to 'generated' for synthetic characters."
            )
        return last["setting"]


def redact_source(setting: str) -> str:
    """The setting as pages and logs may show it."""
    return redact_url(setting) if "://" in setting else escape_control(setting)


def locate(setting: str, scratch: Path, dataset: Dataset, generator: Generator) -> Source:
    """The source that a setting names: a path, 'generated', or what is downloaded, a URL's into ``scratch``."""
    if setting == GENERATED:
        return GeneratedSource(generator.rows, generator.seed, dataset)
    if setting.startswith(KAGGLE_PREFIX):
        from marvel_assets.sources.remote import download_kaggle

        path = download_kaggle(setting.removeprefix(KAGGLE_PREFIX))
    elif setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.remote import download

        path = download(setting, scratch)
    else:
        path = Path(setting)
    label = redact_source(setting)
    if (path / "_delta_log").is_dir():
        return DeltaSource(label, path, dataset.source_columns, scratch)
    files, skipped = _files_in(path, label) if path.is_dir() else ({path: label}, "")
    return FileSource(label, files, dataset.source_columns, dataset.encoding, skipped)


def _files_in(folder: Path, label: str) -> tuple[dict[Path, str], str]:
    """The CSV and Parquet files directly in the folder, with their names in errors; the names of its other files."""
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    paths = [path for path in visible if path.name.lower().endswith(FILE_ENDINGS) and not path.is_dir()]
    others = ", ".join(escape_control(path.name) for path in visible if path not in paths)
    skipped = textwrap.shorten(others, 200, placeholder=" …")
    if not paths:
        raise SourceError(
            f"{label}: the folder holds no *.csv, *.csv.gz or *.parquet and is not a Delta table (looked in "
            f"{folder.absolute()}, not in its subfolders; found {skipped or 'nothing'}); put files there, unpacked, "
            "or set MARVEL_SOURCE to another place."
        )
    return {path: escape_control(f"{label}/{path.name}") for path in paths}, skipped


class GeneratedSource(Source):
    """Rows of the data set's seeded generator, so that a first run needs no download."""

    def __init__(self, rows: int, seed: int, dataset: Dataset) -> None:
        self.label = f"generated ({rows:,} rows, seed {seed})"
        self.columns = dataset.source_columns
        self.arguments = rows, seed
        self.module = f"{dataset.package}.generator"
        if find_spec(self.module) is None:
            raise SourceError(f"The data set {dataset.name} has no generator: set MARVEL_SOURCE to a file or URL.")

    @property
    def digest(self) -> str:
        """Of size, seed and the code that the generator runs: together they decide every byte."""
        return f"generated:{make_cache_key(*self.arguments, code_version(self.module))}"

    def texts(self) -> Iterator[pa.RecordBatch]:
        """Generate the rows."""
        import pyarrow as pa

        rows = pa.Table.from_pandas(import_module(self.module).generate(*self.arguments), preserve_index=False)
        for batch in rows.to_batches(max_chunksize=50_000):
            yield cast_to_strings(batch, self.columns, self.label)
