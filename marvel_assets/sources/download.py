"""A source behind an http(s) URL."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from marvel_assets.sources.addresses import shown
from marvel_assets.sources.errors import SourceError
from marvel_assets.sources.limits import MAX_BYTES, MAX_SECONDS, USUAL, Limits
from marvel_assets.sources.time_limit import within

if TYPE_CHECKING:
    from pathlib import Path

    from requests import Response

CHUNK_BYTES = 1 << 20
REFUSES_TO_TELL = (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
"""Answers of servers that let a file be downloaded and not be asked about, as behind many signed addresses."""


def download(url: str, folder: Path, limits: Limits = USUAL) -> Path:
    """Bring the file behind a URL into a folder.

    Raises:
        SourceError: the server or one that it redirects to must not be asked, can't be reached, answers with an error,
            sends too much, takes too long, or breaks off.
    """
    from marvel_assets.sources.web import WebError, plainly

    target = folder / "download"
    try:
        within(limits.max_seconds, lambda: plainly(lambda: _bring(url, target, limits)))
    except TimeoutError as error:
        raise SourceError(
            f"{shown(url)}: can't be downloaded: not here after {limits.max_seconds:,} seconds. Try again when the "
            f"network is faster, or raise {MAX_SECONDS}."
        ) from error
    except WebError as error:
        raise SourceError(f"{shown(url)}: can't be downloaded: {error}.") from error
    return target


def version_told_by_server(url: str, limits: Limits = USUAL) -> list[str] | None:
    """What the server says of the file's version, without sending it.

    Returns:
        The entity tag, else the time of the last change with the size; None where the server tells neither.

    Raises:
        SourceError: the server must not be asked, can't be reached or answers with an error.
    """
    from marvel_assets.sources.web import CarefulSession, WebError, check_is_ok, plainly

    def ask() -> Response:
        with CarefulSession(limits) as session, session.ask("HEAD", url, {"Accept-Encoding": "identity"}) as answer:
            if answer.status_code not in REFUSES_TO_TELL:
                check_is_ok(answer)
            return answer

    try:
        answer = plainly(ask)
    except WebError as error:
        raise SourceError(
            f"{shown(url)}: can't be reached: {error}. Check the address and the network, or set MARVEL_SOURCE to "
            "another."
        ) from error
    told = answer.headers
    if answer.status_code in REFUSES_TO_TELL:
        return None
    if "ETag" in told:
        return [told["ETag"]]
    if "Last-Modified" in told and "Content-Length" in told:
        return [told["Last-Modified"], told["Content-Length"]]
    return None


def _bring(url: str, target: Path, limits: Limits) -> None:
    from marvel_assets.sources.web import CarefulSession, check_is_ok

    ends = time.monotonic() + limits.max_seconds
    with CarefulSession(limits) as session, session.ask("GET", url) as answer, target.open("wb") as file:
        check_is_ok(answer)
        announced = answer.headers.get("Content-Length", "")
        _check_size(int(announced) if announced.isdigit() else 0, limits)
        # As the bytes come, so that a server that trickles is noticed; unpacked a chunk at a time.
        while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
            file.write(chunk)
            _check_size(file.tell(), limits)
            if time.monotonic() > ends:
                raise TimeoutError


def _check_size(size: int, limits: Limits) -> None:
    from marvel_assets.sources.web import WebError

    if size > limits.max_bytes:
        raise WebError(
            f"it is larger than {limits.max_bytes:,} bytes; if so much is to be read, raise {MAX_BYTES}, or download "
            "it by hand and set MARVEL_SOURCE to the file"
        )
