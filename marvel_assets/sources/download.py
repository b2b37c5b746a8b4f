"""A source behind an http(s) URL."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from marvel_assets.sources.errors import SourceError

CONNECT_AND_READ_SECONDS = (10, 60)
CHUNK_BYTES = 1 << 20


def download(url: str, folder: Path) -> Path:
    """Bring the file behind a URL into a folder.

    Raises:
        SourceError: the server can't be reached, answers with an error, or breaks off.
    """
    import requests

    try:
        target = folder / ("download" + PurePosixPath(urlsplit(url).path).suffix)
        with (
            requests.get(url, stream=True, timeout=CONNECT_AND_READ_SECONDS) as answer,
            target.open("wb") as file,
        ):
            answer.raise_for_status()
            for chunk in answer.iter_content(CHUNK_BYTES):
                file.write(chunk)
    except (requests.RequestException, ValueError) as error:  # urlsplit refuses some URLs by ValueError
        raise SourceError(f"{url}: can't be downloaded: {error}") from error
    return target
