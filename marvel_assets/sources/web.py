"""Asking web servers with care: who is connected to, where redirects lead, and what errors tell.

Imported where it is used: requests takes its time to load.
"""

from __future__ import annotations

import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_auth_from_url, get_environ_proxies, requote_uri, select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from marvel_assets.sources.addresses import Endpoint, may_follow, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from marvel_assets.sources.limits import Limits

    _Credentials = tuple[str, str] | Callable[[requests.PreparedRequest], requests.PreparedRequest]

CONNECT_SECONDS, READ_SECONDS = 10, 60
MOST_REDIRECTS = 10

Answer = TypeVar("Answer")


class WebError(Exception):
    """What went wrong, in words that may be shown: no secret of the address, and no cause that holds one."""


def plainly(ask: Callable[[], Answer]) -> Answer:
    """What the call answers.

    Raises:
        WebError: in place of an error of requests, which quotes the whole address, secrets included. It is raised
            when the other is done with, so that no traceback shows that one as its context.
    """
    try:
        return ask()
    except (requests.RequestException, HTTPError, ValueError) as error:
        why = _in_words(error)
    except OSError as error:
        why = error.strerror or type(error).__name__
    raise WebError(why)


class CarefulSession(requests.Session):
    """One request, from the user's own URL over all redirects."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self._own: Endpoint | None = None
        self._redirected = False
        for prefix in ("http://", "https://"):
            self.mount(prefix, _Adapter(self._look_at_connection))

    def ask(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """The answer at the end of all redirects, its body not read yet.

        Raises:
            WebError: an address that must not be asked, or too many redirects.
        """
        seconds = (min(CONNECT_SECONDS, self._limits.max_seconds), min(READ_SECONDS, self._limits.max_seconds))
        own_url = url
        for _ in range(MOST_REDIRECTS + 1):
            self._look_at_url(url)
            answer = self.request(
                method,
                url,
                headers=headers,
                auth=self._credentials(own_url, url),
                stream=True,
                allow_redirects=False,
                timeout=seconds,
            )
            location = self.get_redirect_target(answer)
            if location is None:
                return answer
            answer.close()
            self._redirected = True
            url = self._next(url, location)
        raise WebError(f"more than {MOST_REDIRECTS} redirects")

    def _credentials(self, own_url: str, url: str) -> _Credentials | None:
        """Those of the user's own URL, else of ~/.netrc (None), for the user's own server alone."""
        if self.should_strip_auth(own_url, url):  # type: ignore[no-untyped-call]
            return _no_credentials
        own = get_auth_from_url(own_url)
        return own if any(own) else None

    def _next(self, url: str, location: str) -> str:
        target = urlsplit(requote_uri(urljoin(url, location)))
        if target.scheme not in {"http", "https"}:
            raise WebError(f"the server redirects to {target.scheme}:, and only http: and https: are followed")
        following = urlunsplit(target._replace(netloc=target.netloc.rpartition("@")[2], fragment=""))
        if urlsplit(url).scheme == "https" and target.scheme == "http":
            raise WebError(f"the server redirects from https: down to {shown(following)}, where anybody may listen")
        return following

    def _look_at_url(self, url: str) -> None:
        """Before anything is looked up: is it one address to everybody who parses it, and is its host allowed?"""
        host = urlsplit(url).hostname or ""
        if not host or "\\" in url or (parse_url(url).host or "").strip("[]").lower() != host:
            raise WebError("the address is not clear about its host")
        if not self._limits.allow(host):
            allowed = ", ".join(sorted(self._limits.hosts))
            leads = "the server redirects to" if self._redirected else "it is at"
            raise WebError(f"{leads} {host}, and MARVEL_SOURCE_HOSTS allows only {allowed}")
        if self._redirected and select_proxy(url, get_environ_proxies(url)):
            self._look_through_proxy(host, urlsplit(url).port or 0)

    def _look_through_proxy(self, host: str, port: int) -> None:
        """The connection ends at the proxy, so that only the name can be looked at; one known to the proxy alone is
        the proxy's to judge.
        """  # noqa: D205
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            return
        for *_, end in found:
            self._refuse_unless_public(Endpoint.of(str(end[0]), port))

    def _look_at_connection(self, connected: socket.socket) -> None:
        """The end that was really connected to, whatever its name said a moment ago; nothing has been asked yet."""
        end = Endpoint.of(*connected.getpeername()[:2])
        if not self._redirected:
            self._own = end
        else:
            self._refuse_unless_public(end)

    def _refuse_unless_public(self, end: Endpoint) -> None:
        if not may_follow(end, self._own):
            raise WebError(
                f"the server redirects to {end.address} port {end.port}, which is no public address; if it is the "
                "right one, set MARVEL_SOURCE to where it leads"
            )


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Neither those of the user's own URL, nor a default of ~/.netrc, which would go to any host."""
    return request


class _Adapter(HTTPAdapter):
    """Shows each new connection to somebody before anything is asked over it."""

    def __init__(self, look: Callable[[socket.socket], None]) -> None:
        self._look = look
        super().__init__()

    def init_poolmanager(self, *arguments: object, **settings: object) -> None:
        super().init_poolmanager(*arguments, **settings)  # type: ignore[arg-type]
        look = self._look

        class Http(HTTPConnection):
            def connect(self) -> None:
                super().connect()
                look(self.sock)

        class Https(HTTPSConnection):
            def connect(self) -> None:
                super().connect()
                look(self.sock)

        class HttpPool(HTTPConnectionPool):
            ConnectionCls = Http

        class HttpsPool(HTTPSConnectionPool):
            ConnectionCls = Https

        self.poolmanager.pool_classes_by_scheme = {"http": HttpPool, "https": HttpsPool}


def check_is_ok(answer: requests.Response) -> None:
    """Let pass what has the status 200: whatever else comes with a body is no file.

    Raises:
        WebError: with the code and its usual name; what else the server says is its own affair.
    """
    if answer.status_code != HTTPStatus.OK:
        known = {code.value: code.phrase for code in HTTPStatus}
        raise WebError(f"{answer.status_code} {known.get(answer.status_code, '')}".strip())


def _in_words(error: Exception) -> str:
    """The reason, without the address that requests puts around it."""
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema) or (
        isinstance(error, ValueError) and not isinstance(error, requests.RequestException)
    ):
        return "the address can't be parsed"
    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", None) or inner
    if isinstance(error, requests.Timeout):
        return f"no answer in time ({type(reason).__name__})"
    if isinstance(reason, OSError | HTTPError):
        return str(reason).rpartition(">: ")[2]
    return f"the connection failed ({type(error).__name__})"
