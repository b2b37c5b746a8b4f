"""A source behind an http(s) URL."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from marvel_assets.sources.errors import SourceError

CONNECT_AND_READ_SECONDS = (10, 60)
CHUNK_BYTES = 1 << 20
HEAD_SECONDS = 10
REFUSES_TO_TELL = (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
"""Answers of servers that let a file be downloaded and not be asked about, as behind many signed addresses."""


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


def version_told_by_server(url: str) -> list[str] | None:
    """What the server says of the file's version, without sending it.

    Returns:
        The entity tag, else the time of the last change with the size; None where the server tells neither.

    Raises:
        SourceError: the server can't be reached or answers with an error.
    """
    import requests

    try:
        with requests.head(
            url, allow_redirects=True, timeout=HEAD_SECONDS, headers={"Accept-Encoding": "identity"}
        ) as answer:
            if answer.status_code in REFUSES_TO_TELL:
                return None
            answer.raise_for_status()
            told = answer.headers
    except (requests.RequestException, ValueError) as error:
        raise SourceError(
            f"{url}: can't be reached: {error}. Check the address and the network, or set MARVEL_SOURCE to another."
        ) from error
    if "ETag" in told:
        return [told["ETag"]]
    if "Last-Modified" in told and "Content-Length" in told:
        return [told["Last-Modified"], told["Content-Length"]]
    return None
