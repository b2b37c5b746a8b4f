"""Sources behind http(s) URLs, bounded in size and time and never redirected into a private network, and on Kaggle.

Imported where it is used: requests takes its time to load.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import requests
from urllib3.exceptions import HTTPError, LocationParseError, ProtocolError

from marvel_assets.sources.base import SourceError
from marvel_assets.utils.errors import root_cause
from marvel_assets.utils.redaction import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator

HOSTS, MAX_BYTES, MAX_SECONDS = "MARVEL_SOURCE_HOSTS", "MARVEL_SOURCE_MAX_BYTES", "MARVEL_SOURCE_MAX_SECONDS"
TIMEOUT_SECONDS = 10, 45
"""To connect, and between two pieces of an answer."""

CHUNK_BYTES = 1 << 20
HEAD_REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
"""Answers of servers that allow GET but not HEAD, as behind many signed URLs."""


def download(url: str, folder: Path) -> Path:
    """Download the file behind a URL into a folder, or raise a SourceError that says why it can't be."""
    max_bytes, max_seconds = _limit(MAX_BYTES, 2 << 30), _limit(MAX_SECONDS, 1800)
    target, ends = folder / "download", time.monotonic() + max_seconds
    with _answer("GET", url, "can't be downloaded") as response, target.open("wb") as file:
        announced = response.headers.get("Content-Length", "")
        size = int(announced) if announced.isdigit() else 0
        # Reads what has arrived, so that a slow trickle is noticed; unpacked a chunk at a time.
        while size <= max_bytes and (chunk := response.raw.read1(CHUNK_BYTES, decode_content=True)):
            file.write(chunk)
            size = file.tell()
            if time.monotonic() > ends:
                raise _RefusedError(f"it took more than {max_seconds:,} seconds; try again, or raise {MAX_SECONDS}")
        if size > max_bytes:
            raise _RefusedError(f"it is larger than {max_bytes:,} bytes; raise {MAX_BYTES}, or download it by hand")
    return target


def remote_version(url: str) -> list[str] | None:
    """The file's entity tag, else the time of its last change with its size; None where the server names neither."""
    with _answer("HEAD", url, "can't be reached") as response:
        for names in (["ETag"], ["Last-Modified", "Content-Length"]):
            if response.ok and all(name in response.headers for name in names):
                return [response.headers[name] for name in names]
    return None


def download_kaggle(handle: str) -> Path:
    """Download the one CSV file of the data set ``<owner>/<dataset>``; kagglehub keeps it in its own cache."""
    import kagglehub

    try:
        folder = Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub lets every error of its HTTP stack through
        raise SourceError(
            f"kaggle:{handle}: can't be downloaded ({type(error).__name__}: {error}). Check the network and the "
            "credentials (KAGGLE_API_TOKEN, or ~/.kaggle/kaggle.json), or download the CSV file by hand and set "
            "MARVEL_SOURCE to its path."
        ) from error
    files = sorted(folder.rglob("*.csv"))
    if len(files) != 1:
        raise SourceError(
            f"kaggle:{handle}: expected one CSV file, found {len(files)} in {folder}; set MARVEL_SOURCE to one of them."
        )
    return files[0]


class _RefusedError(Exception):
    """A download that is not allowed, or has failed; its text may be shown."""


@contextmanager
def _answer(method: str, url: str, problem: str) -> Iterator[requests.Response]:
    """The server's answer; errors are raised without the URL's secrets."""
    try:
        with _Session() as session, session.ask(method, url) as response:
            yield response
    except (_RefusedError, requests.RequestException, HTTPError, ValueError, OSError) as error:
        raise SourceError(
            f"{redact_url(url)}: {problem}: {_plain_reason(error)}. Check the address and the network, or set "
            "MARVEL_SOURCE to another."
        ) from None


def _plain_reason(error: BaseException) -> str:
    """The innermost error, which does not quote the URL as those around it do."""
    match root_cause(error):
        case _RefusedError() | requests.TooManyRedirects() as cause:
            return str(cause).rstrip(".")
        case TimeoutError():
            return "no answer in time"
        case OSError(strerror=str(reason)):
            return reason
        case _ if isinstance(error, ProtocolError):
            return "the connection broke off"
        case requests.RequestException() | LocationParseError() | ValueError():
            return "the address can't be parsed"
        case cause:
            return f"{type(cause).__name__} {cause}"


class _Session(requests.Session):
    """Checks each address before a request, also those that servers redirect to."""

    def __init__(self) -> None:
        super().__init__()
        self._hosts = {host for name in os.environ.get(HOSTS, "").split(",") if (host := _normalize_host(name))}
        self._origin: SplitResult | None = None

    def ask(self, method: str, url: str) -> requests.Response:
        """The answer at the end of all redirects, its body not read yet."""
        response = self.request(method, url, stream=True, timeout=TIMEOUT_SECONDS)
        # Whatever else comes with a body is not the file.
        if response.status_code not in (HTTPStatus.OK, *(HEAD_REFUSED if method == "HEAD" else ())):
            raise _RefusedError(f"the server answered {response.status_code}")
        return response

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # noqa: ANN401 - as given
        """Check the address as it will be requested, then send the request."""
        address = urlsplit(str(request.url))
        host = _normalize_host(address.hostname or "")
        if self._hosts and host not in self._hosts:
            leads = "the server redirects to" if self._origin else "it is at"
            raise _RefusedError(f"{leads} {host}, and {HOSTS} allows only {', '.join(sorted(self._hosts))}")
        if self._origin is None:
            self._origin = address
        elif (self._origin.scheme, address.scheme) == ("https", "http"):
            raise _RefusedError(f"the server redirects from https: down to {redact_url(str(request.url))}")
        elif host != _normalize_host(self._origin.hostname or "") and not _is_public(host):
            raise _RefusedError(
                f"the server redirects to {host}, which is not a public address; if it is the right one, set "
                "MARVEL_SOURCE to where it leads"
            )
        return super().send(request, **settings)


def _is_public(host: str) -> bool:
    """Whether a host has only public addresses. Names that only a proxy can resolve are left to it."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return True
    return all(ip_address(str(address[0])).is_global for *_, address in found)


def _normalize_host(name: str) -> str:
    return name.strip().lower().rstrip(".").strip("[]")


def _limit(variable: str, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not (given.isdecimal() and int(given)):
        raise SourceError(f"{variable} is {given!r}; expected a whole number above 0.")
    return int(given)
