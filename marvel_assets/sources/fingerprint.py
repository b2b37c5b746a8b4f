"""A cheap look at a source that tells whether it may have changed since the last one."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from marvel_assets.sources.delta_table import DeltaSource, is_delta_table
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets.sources.locate import GENERATED, KAGGLE_PREFIX, URL_PREFIXES, files_in, path_of, redact_source
from marvel_assets.utils.timeouts import run_with_timeout

LOOK_SECONDS = 10.0
"""How long a look may take."""

_NOT_WRITTEN_TO = Path(os.devnull)


def fingerprint(
    setting: str,
    *,
    generator_rows: int,
    generator_seed: int,
    seconds: float = LOOK_SECONDS,
) -> str | None:
    """Look at a source without reading it whole.

    Equal fingerprints mean that nothing points to a change. Other ones mean that the source may have changed: its
    digest tells.

    Args:
        setting: what ``locate`` takes.
        generator_rows: how many rows ``generated`` makes.
        generator_seed: from which seed.
        seconds: how long the look may take.

    Returns:
        A short text, or None where only reading the source can tell.

    Raises:
        SourceError: there is nothing under that name any more, or no answer in time.
    """
    try:
        seen = run_with_timeout(seconds, lambda: _seen(setting, generator_rows, generator_seed))
    except TimeoutError as error:
        raise SourceError(
            f"{redact_source(setting)}: no answer within {seconds:g} seconds; check the "
            "network or the drive, and try again."
        ) from error
    return None if seen is None else _hashed(setting, seen)


def _seen(setting: str, generator_rows: int, generator_seed: int) -> object:
    """What a change would change, or None where nothing tells."""
    if setting == GENERATED:
        return GeneratedSource(generator_rows, generator_seed, _NOT_WRITTEN_TO).digest
    if setting.startswith(URL_PREFIXES):
        from marvel_assets.sources.http import remote_version

        return remote_version(setting)
    if setting.startswith(KAGGLE_PREFIX):
        from marvel_assets.sources.kaggle import current_version

        return current_version(setting.removeprefix(KAGGLE_PREFIX))
    path = path_of(setting)
    if is_delta_table(path):
        return DeltaSource.newest(setting, path, _NOT_WRITTEN_TO).digest
    return [_state_of(file, setting) for file in (files_in(path, setting).files if path.is_dir() else (path,))]


def _state_of(file: Path, setting: str) -> tuple[str, int, int, int]:
    try:
        state = file.stat()
    except OSError as error:
        raise SourceError(f"{setting}: {file.name} can't be looked at: {error.strerror}.") from error
    return file.name, state.st_size, state.st_mtime_ns, state.st_ino


def _hashed(setting: str, seen: object) -> str:
    """Hashed, since addresses may hold secrets and folders many files."""
    return hashlib.sha256(json.dumps([setting, seen]).encode()).hexdigest()
