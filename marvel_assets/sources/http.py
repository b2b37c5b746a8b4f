"""Sources behind http(s) URLs: bounded in size and time, and never redirected into a private network.

Imported where it is used: requests takes its time to load.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.utils import get_auth_from_url, select_proxy
from urllib3.exceptions import HTTPError, LocationParseError

from marvel_assets.sources.base import SourceError
from marvel_assets.utils.errors import root_cause
from marvel_assets.utils.redaction import redact_url
from marvel_assets.utils.timeouts import run_with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable
    from ipaddress import IPv4Address
    from pathlib import Path

HOSTS, MAX_BYTES, MAX_SECONDS = "MARVEL_SOURCE_HOSTS", "MARVEL_SOURCE_MAX_BYTES", "MARVEL_SOURCE_MAX_SECONDS"
CONNECT_SECONDS, READ_SECONDS = 10, 60
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
        max_seconds: from the first look-up of a name to the last byte.
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
        names = (name.strip() for name in os.environ.get(HOSTS, "").split(","))
        return cls(
            frozenset(_normalize_host(name) for name in names if name),
            _positive_integer(MAX_BYTES, cls.max_bytes),
            _positive_integer(MAX_SECONDS, cls.max_seconds),
        )


class Endpoint(NamedTuple):
    """Host, port and address of the far end of a connection."""

    address: IPv4Address | IPv6Address
    port: int

    @classmethod
    def parse(cls, address: str, port: int) -> Endpoint:
        """From what a socket reports; an IPv4 address within an IPv6 one (mapped, 6to4, NAT64) is taken out."""
        parsed = ip_address(address.partition("%")[0])
        if isinstance(parsed, IPv6Address):
            is_nat64 = parsed in IPv6Network("64:ff9b::/96")
            parsed = ip_address(int(parsed) % 2**32) if is_nat64 else parsed.ipv4_mapped or parsed.sixtofour or parsed
        return cls(parsed, port)


def is_redirect_allowed(to: Endpoint, origin: Endpoint | None) -> bool:
    """Whether a redirect may lead there: on the public internet anywhere, else only to the origin itself.

    Args:
        to: where the redirect leads.
        origin: where the user's own URL led; its machine may redirect to its own port, or to its HTTPS.
    """
    is_public = to.address.is_global and not (to.address.is_multicast or to.address.is_reserved)
    return is_public or (origin is not None and to.address == origin.address and to.port in {origin.port, 443})


def download(url: str, folder: Path, limits: DownloadLimits | None = None) -> Path:
    """Download the file behind a URL into a folder.

    Raises:
        SourceError: the server or one that it redirects to must not be asked, can't be reached, answers with an error,
            sends too much, takes too long, or breaks off.
    """
    target = folder / "download"
    bounds = limits or DownloadLimits.from_environment()
    ends = time.monotonic() + bounds.max_seconds

    def fetch() -> Path:
        with _Session(bounds) as session, session.follow("GET", url) as response, target.open("wb") as file:
            _check_ok(response)
            announced = response.headers.get("Content-Length", "")
            size = int(announced) if announced.isdigit() else 0
            # As the bytes come, so that a server that trickles is noticed; unpacked a chunk at a time.
            while size <= bounds.max_bytes and (chunk := response.raw.read1(CHUNK_BYTES, decode_content=True)):
                file.write(chunk)
                size = file.tell()
                if time.monotonic() > ends:
                    raise TimeoutError
            if size > bounds.max_bytes:
                limit = f"{bounds.max_bytes:,} bytes"
                raise _RefusedError(f"it is larger than {limit}; raise {MAX_BYTES}, or download it by hand")
        return target

    return _with_plain_errors(f"{redact_url(url)}: can't be downloaded", bounds, fetch)


def remote_version(url: str, limits: DownloadLimits | None = None) -> list[str] | None:
    """What the server says of the file's version, without sending it.

    Returns:
        The entity tag, else the time of the last change with the size; None where the server names neither.

    Raises:
        SourceError: the server must not be asked, can't be reached or answers with an error.
    """
    bounds = limits or DownloadLimits.from_environment()

    def fetch() -> list[str] | None:
        with _Session(bounds) as session, session.follow("HEAD", url) as response:
            if response.status_code in HEAD_REFUSED:
                return None
            _check_ok(response)
            headers = response.headers
        if "ETag" in headers:
            return [headers["ETag"]]
        if "Last-Modified" in headers and "Content-Length" in headers:
            return [headers["Last-Modified"], headers["Content-Length"]]
        return None

    return _with_plain_errors(f"{redact_url(url)}: can't be reached", bounds, fetch)


class _RefusedError(Exception):
    """A download that is not allowed, or has failed, in words that may be shown."""


def _with_plain_errors(problem: str, limits: DownloadLimits, fetch: Callable[[], Result]) -> Result:
    """The result, or an error without secrets: those of requests quote the whole URL.

    It is raised after the other one was handled, so that no traceback shows that one as its context.
    """
    try:
        return run_with_timeout(limits.max_seconds, fetch)
    except TimeoutError:
        reason = f"it took more than {limits.max_seconds:,} seconds; try again, or raise {MAX_SECONDS}"
    except _RefusedError as error:
        reason = str(error)
    except (requests.RequestException, HTTPError, ValueError, OSError) as error:
        reason = _plain_reason(error)
    raise SourceError(f"{problem}: {reason}. Check the address and the network, or set MARVEL_SOURCE to another.")


def _plain_reason(error: BaseException) -> str:
    """The innermost error, which does not quote the URL as those around it do."""
    error = root_cause(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, requests.RequestException | LocationParseError):
        return "the address can't be parsed"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "the address can't be parsed" if isinstance(error, ValueError) else f"{type(error).__name__} {error}"


class _Session(requests.Session):
    """One request, followed over all redirects; each end is looked at before it is asked."""

    def __init__(self, limits: DownloadLimits) -> None:
        super().__init__()
        self._limits = limits
        self._origin: Endpoint | None = None
        self._redirected = False
        for prefix in ("http://", "https://"):
            self.mount(prefix, _Adapter(self._check_connection))

    def follow(self, method: str, url: str) -> requests.Response:
        """The response at the end of all redirects, its body not read yet."""
        seconds = (min(CONNECT_SECONDS, self._limits.max_seconds), min(READ_SECONDS, self._limits.max_seconds))
        origin, own = url, get_auth_from_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            is_own = any(own) and not self.should_strip_auth(origin, url)  # type: ignore[no-untyped-call]
            # To where a redirect leads, requests would send what its URL holds, or ~/.netrc has for anybody.
            auth = HTTPBasicAuth(*own) if is_own else (lambda request: request) if self._redirected else None
            response = self.request(method, url, auth=auth, stream=True, allow_redirects=False, timeout=seconds)
            location = self.get_redirect_target(response)
            if location is None:
                return response
            response.close()
            self._redirected, before = True, urlsplit(url).scheme
            url = urljoin(url, location)
            scheme = urlsplit(url).scheme
            if scheme not in {"http", "https"}:
                raise _RefusedError(f"the server redirects to {scheme}:, and only http: and https: are followed")
            if (before, scheme) == ("https", "http"):
                raise _RefusedError(f"the server redirects from https: down to {redact_url(url)}")
        raise _RefusedError(f"more than {MAX_REDIRECTS} redirects")

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # noqa: ANN401 - as given
        """Check the host, in the form in which it will be asked, then send the request."""
        host = urlsplit(str(request.url)).hostname or ""
        if self._limits.hosts and _normalize_host(host) not in self._limits.hosts:
            leads = "the server redirects to" if self._redirected else "it is at"
            allowed = ", ".join(sorted(self._limits.hosts))
            raise _RefusedError(f"{leads} {host}, and {HOSTS} allows only {allowed}")
        if self._redirected and select_proxy(str(request.url), settings["proxies"]):
            self._check_behind_proxy(host)
        return super().send(request, **settings)

    def _check_behind_proxy(self, host: str) -> None:
        """The connection ends at the proxy, so only the name can be looked at, unless the proxy alone knows it."""
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return
        for *_, (address, *_) in found:
            self._refuse_unless_allowed(Endpoint.parse(str(address), 0))

    def _check_connection(self, connected: socket.socket) -> None:
        """Look at the end that was really connected to, whatever its name resolved to before."""
        end = Endpoint.parse(*connected.getpeername()[:2])
        if self._redirected:
            self._refuse_unless_allowed(end)
        else:
            self._origin = end

    def _refuse_unless_allowed(self, end: Endpoint) -> None:
        if not is_redirect_allowed(end, self._origin):
            raise _RefusedError(
                f"the server redirects to {end.address} port {end.port}, which is no public address; if it is the "
                "right one, set MARVEL_SOURCE to where it leads"
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
    plain = name.lower().rstrip(".").strip("[]")
    if not plain or any(character in plain for character in "/@\\ *"):
        raise SourceError(f"{HOSTS}: {name!r} is not a host; expected names such as data.example.com, with commas.")
    try:
        return plain if plain.isascii() else plain.encode("idna").decode()
    except UnicodeError as error:
        raise SourceError(f"{HOSTS}: {name!r} is not a host's name.") from error


def _positive_integer(variable: str, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not (given.isascii() and given.isdigit() and int(given)):
        raise SourceError(f"{variable} is {given!r}; expected a whole number above 0.")
    return int(given)
