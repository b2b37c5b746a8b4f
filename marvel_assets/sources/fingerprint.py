"""A glance at a source: whether it may have changed, without reading it."""

from __future__ import annotations

from pathlib import Path

from marvel_assets.sources.delta import LOG, DeltaSource
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.folder import FolderSource
from marvel_assets.sources.generated import GeneratedSource
from marvel_assets.sources.locate import GENERATED, KAGGLE_PREFIX, URL_PREFIXES, local_path

SECONDS = 10
VALIDATORS = ("ETag", "Last-Modified")


def fingerprint(setting: str, *, generator_rows: int, generator_seed: int) -> str | None:
    """What a source looks like from outside; equal where its content is the same as at the last look.

    Files tell size, time and inode; a URL its ETag, else when it was last modified; a Delta table its version.

    Returns:
        None where nothing but the content itself can tell.

    Raises:
        SourceError: there is nothing under that name.
    """
    if setting == GENERATED:
        return GeneratedSource(generator_rows, generator_seed, Path()).digest
    if setting.startswith(URL_PREFIXES):
        return _of_url(setting)
    if setting.startswith(KAGGLE_PREFIX):
        return None
    path = local_path(setting)
    if path.is_file():
        return _of_file(path)
    if (path / LOG).is_dir():
        return DeltaSource.newest(path, Path()).digest
    return "\n".join(_of_file(file) for file in FolderSource(setting, path).files())


def _of_file(path: Path) -> str:
    found = path.stat()
    return f"{path.name}:{found.st_size}:{found.st_mtime_ns}:{found.st_ino}"


def _of_url(url: str) -> str | None:
    import requests

    try:
        answer = requests.head(url, timeout=SECONDS, allow_redirects=True)
    except (requests.RequestException, ValueError) as error:
        raise SourceError(f"{url}: can't be reached: {error}") from error
    if not answer.ok:  # some servers don't know HEAD; whether there is a file is told by the download
        return None
    for header in VALIDATORS:
        if told := answer.headers.get(header):
            return f"{header}:{told}:{answer.headers.get('Content-Length', '')}"
    return None
