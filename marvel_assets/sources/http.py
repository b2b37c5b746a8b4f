"""Sources behind http(s) URLs: bounded in size and time, and never redirected into a private network.

Imported where it is used: requests takes its time to load.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url
from urllib3.exceptions import HTTPError, LocationParseError

from marvel_assets.sources.base import SourceError
from marvel_assets.utils.errors import root_cause
from marvel_assets.utils.redaction import redact_url

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    Endpoint = tuple[str, int]

HOSTS, MAX_BYTES, MAX_SECONDS = "MARVEL_SOURCE_HOSTS", "MARVEL_SOURCE_MAX_BYTES", "MARVEL_SOURCE_MAX_SECONDS"
CONNECT_SECONDS, READ_SECONDS = 10, 45
CHUNK_BYTES = 1 << 20
MAX_REDIRECTS = 10
HEAD_REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
"""Answers of servers that let a file be downloaded but not be asked about, as behind many signed URLs."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class DownloadLimits:
    """What a source behind a URL may be.

    Attributes:
        hosts: the only hosts that are asked, redirects included; any where there is none.
        max_bytes: of the file, unpacked where the server sends it packed.
        max_seconds: from the first request to the last byte.
    """

    hosts: frozenset[str] = frozenset()
    max_bytes: int = 2 << 30
    max_seconds: int = 1800

    @classmethod
    def from_environment(cls) -> Self:
        """Read MARVEL_SOURCE_HOSTS, MARVEL_SOURCE_MAX_BYTES and MARVEL_SOURCE_MAX_SECONDS.

        Raises:
            SourceError: naming the variable that can't be used.
        """
        names = (_normalize_host(name) for name in os.environ.get(HOSTS, "").split(","))
        return cls(
            frozenset(filter(None, names)),
            _positive_integer(MAX_BYTES, cls.max_bytes),
            _positive_integer(MAX_SECONDS, cls.max_seconds),
        )


def is_redirect_allowed(to: Endpoint, origin: Endpoint | None) -> bool:
    """Whether a redirect may lead there: on the public internet anywhere, else only to the origin itself.

    Args:
        to: address and port of where the redirect leads.
        origin: of where the user's own URL led; its machine may redirect to its own port, or to its HTTPS.
    """
    address = ip_address(to[0].partition("%")[0])
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    is_public = address.is_global and not (address.is_multicast or address.is_reserved)
    return is_public or (origin is not None and to in {origin, (origin[0], 443)})


def download(url: str, folder: Path) -> Path:
    """Download the file behind a URL into a folder.

    Raises:
        SourceError: the server or one that it redirects to must not be asked, can't be reached, answers with an error,
            sends too much, takes too long, or breaks off.
    """
    target, limits = folder / "download", DownloadLimits.from_environment()
    ends = time.monotonic() + limits.max_seconds

    def fetch() -> Path:
        with _Session(limits) as session, session.ask("GET", url) as response, target.open("wb") as file:
            _check_ok(response)
            announced = response.headers.get("Content-Length", "")
            size = int(announced) if announced.isdigit() else 0
            # As the bytes come, so that a server that trickles is noticed; unpacked a chunk at a time.
            while size <= limits.max_bytes and (chunk := response.raw.read1(CHUNK_BYTES, decode_content=True)):
                file.write(chunk)
                size = file.tell()
                if time.monotonic() > ends:
                    raise _RefusedError(
                        f"it took more than {limits.max_seconds:,} seconds; try again, or raise {MAX_SECONDS}"
                    )
            if size > limits.max_bytes:
                raise _RefusedError(
                    f"it is larger than {limits.max_bytes:,} bytes; raise {MAX_BYTES}, or download it by hand"
                )
        return target

    return _with_plain_errors(f"{redact_url(url)}: can't be downloaded", fetch)


def remote_version(url: str) -> list[str] | None:
    """What the server says of the file's version, without sending it.

    Returns:
        The entity tag, else the time of the last change with the size; None where the server names neither.

    Raises:
        SourceError: the server must not be asked, can't be reached or answers with an error.
    """

    def fetch() -> list[str] | None:
        with _Session(DownloadLimits.from_environment()) as session, session.ask("HEAD", url) as response:
            if response.status_code in HEAD_REFUSED:
                return None
            _check_ok(response)
            headers = response.headers
        if "ETag" in headers:
            return [headers["ETag"]]
        if "Last-Modified" in headers and "Content-Length" in headers:
            return [headers["Last-Modified"], headers["Content-Length"]]
        return None

    return _with_plain_errors(f"{redact_url(url)}: can't be reached", fetch)


class _RefusedError(Exception):
    """A download that is not allowed, or has failed, in words that may be shown."""


def _with_plain_errors(problem: str, fetch: Callable[[], Result]) -> Result:
    """The result, or an error without secrets: those of requests quote the whole URL.

    It is raised after the other one was handled, so that no traceback shows that one as its context.
    """
    try:
        return fetch()
    except _RefusedError as error:
        reason = str(error)
    except requests.TooManyRedirects:
        reason = f"more than {MAX_REDIRECTS} redirects"
    except (requests.RequestException, HTTPError, ValueError, OSError) as error:
        reason = _plain_reason(error)
    raise SourceError(f"{problem}: {reason}. Check the address and the network, or set MARVEL_SOURCE to another.")


def _plain_reason(error: BaseException) -> str:
    """The innermost error, which does not quote the URL as those around it do."""
    error = root_cause(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, requests.RequestException | LocationParseError | ValueError):
        return "the address can't be parsed"
    return f"{type(error).__name__} {error}"


class _Session(requests.Session):
    """Follows redirects where they may lead; each end is looked at before it is asked."""

    def __init__(self, limits: DownloadLimits) -> None:
        super().__init__()
        self.max_redirects = MAX_REDIRECTS
        self._limits = limits
        self._origin: Endpoint | None = None
        self._redirected = False
        for prefix in ("http://", "https://"):
            self.mount(prefix, _Adapter(self._check_connection))

    def ask(self, method: str, url: str) -> requests.Response:
        """The response at the end of all redirects, its body not read yet."""
        seconds = (min(CONNECT_SECONDS, self._limits.max_seconds), min(READ_SECONDS, self._limits.max_seconds))
        own = get_auth_from_url(url)  # else ~/.netrc would be asked first
        return self.request(method, url, auth=own if any(own) else None, stream=True, timeout=seconds)

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # noqa: ANN401 - as given
        """Check the host, in the form in which it will be asked, then send the request."""
        host = _normalize_host(urlsplit(str(request.url)).hostname or "")
        if self._limits.hosts and host not in self._limits.hosts:
            leads = "the server redirects to" if self._redirected else "it is at"
            allowed = ", ".join(sorted(self._limits.hosts))
            raise _RefusedError(f"{leads} {host}, and {HOSTS} allows only {allowed}")
        return super().send(request, **settings)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a response redirects to; its own body, which may be of any size, is not read."""
        location = super().get_redirect_target(resp)
        if location is None:
            return None
        resp.close()
        self._redirected = True
        target = urljoin(resp.url, location)
        before, scheme = urlsplit(resp.url).scheme, urlsplit(target).scheme
        if scheme not in {"http", "https"}:
            raise _RefusedError(f"the server redirects to {scheme}:, and only http: and https: are followed")
        if (before, scheme) == ("https", "http"):
            raise _RefusedError(f"the server redirects from https: down to {redact_url(target)}")
        return location

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Keep the user's credentials on the user's own server; requests would also send those of ~/.netrc."""
        if self.should_strip_auth(response.request.url, prepared_request.url):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)

    def _check_connection(self, connected: socket.socket) -> None:
        """Look at the end that was really connected to, whatever its name resolved to before."""
        end: Endpoint = connected.getpeername()[:2]
        if not self._redirected:
            self._origin = end
        elif not is_redirect_allowed(end, self._origin):
            raise _RefusedError(
                f"the server redirects to {end[0]} port {end[1]}, which is not a public address; if it is the right "
                "one, set MARVEL_SOURCE to where it leads"
            )


class _Adapter(HTTPAdapter):
    """Has each new connection checked before anything is asked over it."""

    def __init__(self, check: Callable[[socket.socket], None]) -> None:
        self._check = check
        super().__init__()

    def get_connection_with_tls_context(self, *arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - the base class's own
        """A pool whose connections are checked, unless they end at a proxy."""
        pool: Any = super().get_connection_with_tls_context(*arguments, **settings)
        check = self._check

        class Connection(pool.ConnectionCls):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                check(self.sock)

        if pool.proxy is None:
            pool.ConnectionCls = Connection
        return pool


def _check_ok(response: requests.Response) -> None:
    """Accept status 200 alone: whatever else comes with a body is not the file."""
    if response.status_code != HTTPStatus.OK:
        raise _RefusedError(f"the server answered {response.status_code}")


def _normalize_host(name: str) -> str:
    """The form that names are compared in."""
    return name.strip().lower().rstrip(".").strip("[]")


def _positive_integer(variable: str, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not (given.isascii() and given.isdigit() and int(given)):
        raise SourceError(f"{variable} is {given!r}; expected a whole number above 0.")
    return int(given)
