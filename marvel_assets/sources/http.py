"""Sources behind http(s) URLs: bounded in size and time, and never redirected into a private network.

Imported where it is used: requests takes its time to load.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, LocationParseError, ProtocolError

from marvel_assets.sources.base import SourceError
from marvel_assets.utils.errors import root_cause
from marvel_assets.utils.redaction import redact_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from urllib.parse import SplitResult

HOSTS, MAX_BYTES, MAX_SECONDS = "MARVEL_SOURCE_HOSTS", "MARVEL_SOURCE_MAX_BYTES", "MARVEL_SOURCE_MAX_SECONDS"
DEFAULT_MAX_BYTES, DEFAULT_MAX_SECONDS = 2 << 30, 1800
TIMEOUT_SECONDS = 10, 45
"""To connect, and between two pieces of an answer."""

CHUNK_BYTES = 1 << 20
HEAD_REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
"""Answers of servers that allow GET but not HEAD, as behind many signed URLs."""


def download(url: str, folder: Path) -> Path:
    """Download the file behind a URL into a folder.

    Raises:
        SourceError: the server or one that it redirects to is not allowed, can't be reached, answers with an error,
            sends too much, takes too long, or breaks off.
    """
    max_bytes = _positive_integer(MAX_BYTES, DEFAULT_MAX_BYTES)
    max_seconds = _positive_integer(MAX_SECONDS, DEFAULT_MAX_SECONDS)
    target, ends = folder / "download", time.monotonic() + max_seconds
    with (
        _plain_errors(f"{redact_url(url)}: can't be downloaded"),
        _Session() as session,
        session.ask("GET", url) as response,
        target.open("wb") as file,
    ):
        _check_ok(response)
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
    """What a HEAD request says about the file's version.

    Returns:
        The entity tag, else the time of the last change with the size; None where the server names neither.

    Raises:
        SourceError: the server is not allowed, can't be reached or answers with an error.
    """
    with (
        _plain_errors(f"{redact_url(url)}: can't be reached"),
        _Session() as session,
        session.ask("HEAD", url) as response,
    ):
        if response.status_code in HEAD_REFUSED:
            return None
        _check_ok(response)
        headers = response.headers
    if "ETag" in headers:
        return [headers["ETag"]]
    if "Last-Modified" in headers and "Content-Length" in headers:
        return [headers["Last-Modified"], headers["Content-Length"]]
    return None


class _RefusedError(Exception):
    """A download that is not allowed, or has failed; its text may be shown."""


@contextmanager
def _plain_errors(problem: str) -> Iterator[None]:
    """Raise errors without secrets: those of requests quote the whole URL."""
    try:
        yield
    except (_RefusedError, requests.RequestException, HTTPError, ValueError, OSError) as error:
        raise SourceError(
            f"{problem}: {_plain_reason(error)}. Check the address and the network, or set MARVEL_SOURCE to another."
        ) from None


def _plain_reason(error: BaseException) -> str:
    """The innermost error, which does not quote the URL as those around it do."""
    broke_off = isinstance(error, ProtocolError)
    error = root_cause(error)
    if isinstance(error, _RefusedError | requests.TooManyRedirects):
        return str(error).rstrip(".")
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if broke_off:
        return "the connection broke off"
    if isinstance(error, requests.RequestException | LocationParseError | ValueError):
        return "the address can't be parsed"
    return f"{type(error).__name__} {error}"


class _Session(requests.Session):
    """Checks each address before a request, also those that servers redirect to."""

    def __init__(self) -> None:
        super().__init__()
        self._hosts = {host for name in os.environ.get(HOSTS, "").split(",") if (host := _normalize_host(name))}
        self._origin: SplitResult | None = None

    def ask(self, method: str, url: str) -> requests.Response:
        """The response at the end of all redirects, its body not read yet."""
        return self.request(method, url, stream=True, timeout=TIMEOUT_SECONDS)

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # noqa: ANN401 - as given
        """Check the address as it will be requested, then send the request."""
        address = urlsplit(str(request.url))
        host = _normalize_host(address.hostname or "")
        leads = "it is at" if self._origin is None else "the server redirects to"
        if self._hosts and host not in self._hosts:
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
    return all(ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found)


def _check_ok(response: requests.Response) -> None:
    """Accept status 200 alone: whatever else comes with a body is not the file."""
    if response.status_code != HTTPStatus.OK:
        raise _RefusedError(f"the server answered {response.status_code}")


def _normalize_host(name: str) -> str:
    """The form that names are compared in."""
    return name.strip().lower().rstrip(".").strip("[]")


def _positive_integer(variable: str, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not (given.isdecimal() and int(given)):
        raise SourceError(f"{variable} is {given!r}; expected a whole number above 0.")
    return int(given)
