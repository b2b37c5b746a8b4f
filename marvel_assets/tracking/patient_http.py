"""HTTP with patience: bounded whatever a server does, and nothing is made twice because an answer was lost.

``requests`` bounds the silence between two bytes and nothing else: a server that trickles, or that asks to be left
alone for an hour, holds a client as long as it likes. Here a call as a whole has a deadline. What is sent and received
moves the deadline on, so that a large file takes as long as it needs while it makes progress.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as OutOfTimeError
from typing import Any, Self

from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import StreamConsumedError, Timeout
from urllib3 import BaseHTTPResponse, Retry
from urllib3.connection import HTTPConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError, ResponseError

from marvel_assets.tracking.patience import Patience, patience_with

RETRY_AFTER_SECONDS = 5
"""How long is waited where a server asks for it; what asks for more fails."""

SLOWEST_BYTES_A_SECOND = 1_000
"""A transfer that is slower makes no progress."""

BUFFER = 262_144
NOT_TAKEN = {429, 503}
"""Answers of a server that has done nothing of what it was asked."""


class ServerUnavailableError(RequestsConnectionError):
    """A server did not answer, or not in time, or that it can't; its URL is in the text.

    Attributes:
        reason: the same without the URL.
    """

    def __init__(self, url: str, reason: str, request: PreparedRequest) -> None:
        super().__init__(f"{url} {reason}. Run again when it is back.", request=request)
        self.reason = reason


class PatientAdapter(HTTPAdapter):
    """What a session of ``requests`` sends through."""

    def __init__(self, max_retries: Retry | int = 0, **pools: Any) -> None:  # noqa: ANN401 - as HTTPAdapter has them
        super().__init__(max_retries=_Retries.like(Retry.from_int(max_retries)), **pools)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pools: Any) -> None:  # noqa: ANN401, FBT001, FBT002
        """Keep the system's buffers small: what lies in them is sent as far as can be seen here, and may not be."""
        super().init_poolmanager(connections, maxsize, block, **pools)
        options = self.poolmanager.connection_pool_kw
        small = (socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        options["socket_options"] = [*options.get("socket_options", HTTPConnection.default_socket_options), small]

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - as it is overridden
        timeout: Any = None,  # noqa: ANN401
        verify: Any = True,  # noqa: ANN401, FBT002
        cert: Any = None,  # noqa: ANN401
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request, and receive the answer: its head where it is streamed, else the whole.

        Raises:
            ServerUnavailableError: there is none, or it is that the server can't answer.
        """
        patience = patience_with(str(request.url))
        seconds = patience.left()
        if seconds <= 0:
            raise ServerUnavailableError(patience.url, patience.given_up(), request)
        progress = _Progress(seconds)
        if hasattr(request.body, "read"):
            request.body = _WatchedFile(request.body, progress)  # type: ignore[assignment]
            timeout = seconds  # the server may store what it was sent before it answers

        def exchange() -> Response:
            response = super(PatientAdapter, self).send(request, stream, timeout, verify, cert, proxies)
            patient = _PatientResponse.of(response, patience, progress)
            if not stream:
                _ = patient.content
            return patient

        # A thread can be left alone by the one that waits for it; a socket that is waited for can't.
        try:
            response = _in_a_thread(exchange, progress)
        except OutOfTimeError:
            raise _unavailable(patience, progress, _no_answer(seconds), request) from None
        except ServerUnavailableError:
            raise
        except Timeout as error:
            raise _unavailable(patience, progress, _no_answer(time.monotonic() - progress.began), request) from error
        except (RequestException, HTTPError) as error:
            raise _unavailable(patience, progress, f"can't be reached: {_innermost(error)}", request) from error
        if response.status_code in (self.max_retries.status_forcelist or ()):
            told = "" if stream else f": {' '.join(response.text.split())[:200]}"
            reason = f"answers {response.status_code} {response.reason}{told}"
            raise _unavailable(patience, progress, reason, request)
        return response


def be_patient_with_mlflow() -> None:
    """Have MLflow send through a ``PatientAdapter``.

    It has settings for the time between two bytes and for the number of tries, none for a call as a whole or for a run,
    and makes its sessions itself; the class of the adapter in them is the one place that all its calls pass, those for
    artifacts included.
    """
    from mlflow.utils import request_utils

    if issubclass(request_utils.TCPKeepAliveHTTPAdapter, PatientAdapter):
        return

    class PatientKeepAliveAdapter(PatientAdapter, request_utils.TCPKeepAliveHTTPAdapter):
        """Both."""

    request_utils.TCPKeepAliveHTTPAdapter = PatientKeepAliveAdapter  # type: ignore[misc, assignment]


class _Progress:
    """When a call must end: what moves puts that off, by no more than the whole patience."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.began = time.monotonic()
        self._deadline = self.began + seconds

    def made(self, size: int) -> None:
        self._deadline = min(time.monotonic() + self._seconds, self._deadline + size / SLOWEST_BYTES_A_SECOND)

    @property
    def seconds_left(self) -> float:
        return self._deadline - time.monotonic()


class _WatchedFile:
    """A file that is sent, and tells that it moves."""

    def __init__(self, file: Any, progress: _Progress) -> None:  # noqa: ANN401
        self._file = file
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        block: bytes = self._file.read(size)
        self._progress.made(len(block))
        return block

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._file, name)


class _PatientResponse(Response):
    """A response whose body has the same deadline."""

    _patience: Patience
    _progress: _Progress

    @classmethod
    def of(cls, response: Response, patience: Patience, progress: _Progress) -> Self:
        made = cls()
        made.__dict__.update(response.__dict__)
        made._patience, made._progress = patience, progress
        return made

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:  # noqa: FBT001, FBT002
        """The body as it arrives."""
        if self._content_consumed:
            if isinstance(self._content, bool):
                raise StreamConsumedError
            return super().iter_content(chunk_size, decode_unicode)
        return self._arriving(chunk_size)

    def _arriving(self, chunk_size: int | None) -> Iterator[bytes]:
        try:
            while block := self.raw.read1(chunk_size or 65_536, decode_content=True):
                self._progress.made(len(block))
                if self._progress.seconds_left <= 0:
                    raise _unavailable(self._patience, self._progress, "answers too slowly", self.request)
                yield block
        except HTTPError as error:
            reason = f"broke off its answer: {_innermost(error)}"
            raise _unavailable(self._patience, self._progress, reason, self.request) from error
        self._content_consumed = True
        if self.status_code < 500 and self.status_code not in NOT_TAKEN:  # noqa: PLR2004 - HTTP's own
            self._patience.answered()


class _Retries(Retry):
    """Tries again, except what may have been done already and would be done twice."""

    @classmethod
    def like(cls, given: Retry) -> Self:
        return cls(
            total=given.total,
            connect=given.connect,
            read=given.read,
            redirect=given.redirect,
            status=given.status,
            other=given.other,
            allowed_methods=given.allowed_methods,
            status_forcelist=given.status_forcelist,
            backoff_factor=given.backoff_factor,
            backoff_jitter=given.backoff_jitter,
            raise_on_status=False,  # the adapter tells it, with the server's words
            respect_retry_after_header=given.respect_retry_after_header,
            retry_after_max=RETRY_AFTER_SECONDS,
        )

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,  # noqa: ANN401
        _stacktrace: Any = None,  # noqa: ANN401
    ) -> Self:
        """The retries that are left.

        Raises:
            urllib3.exceptions.MaxRetryError: there are none for such a call.
        """
        if _makes_something(method, url):
            if error is not None and not isinstance(error, ConnectTimeoutError | NewConnectionError):
                raise MaxRetryError(_pool, str(url), error) from error
            if response is not None and response.status not in NOT_TAKEN:
                raise MaxRetryError(_pool, str(url), ResponseError(f"{response.status} {response.reason}"))
        return super().increment(method, url, response, error, _pool, _stacktrace)


def _makes_something(method: str | None, url: str | None) -> bool:
    """Whether a call makes a run, a model or a version: twice sent, it makes two."""
    path = (url or "").partition("?")[0]
    return method == "POST" and (path.endswith(("/create", "/logged-models")) or "/unity-catalog/" in path)


def _in_a_thread(exchange: Any, progress: _Progress) -> Response:  # noqa: ANN401
    outcome: Future[Response] = Future()

    def run() -> None:
        try:
            outcome.set_result(exchange())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            outcome.set_exception(error)

    threading.Thread(target=run, name="http", daemon=True).start()
    while True:
        try:
            return outcome.result(max(0.0, progress.seconds_left))
        except OutOfTimeError:
            if outcome.done() or progress.seconds_left <= 0:
                raise


def _unavailable(
    patience: Patience, progress: _Progress, reason: str, request: PreparedRequest
) -> ServerUnavailableError:
    patience.failed(progress.began, reason)
    return ServerUnavailableError(patience.url, reason, request)


def _no_answer(seconds: float) -> str:
    return f"can't be reached: no answer within {seconds:.0f} s"


def _innermost(error: BaseException) -> str:
    """The system's own words: what requests and urllib3 wrap around them repeats the URL."""
    while inner := error.__cause__ or error.__context__ or _first_error(error.args):
        error = inner
    return str(error)


def _first_error(things: Iterable[object]) -> BaseException | None:
    return next((thing for thing in things if isinstance(thing, BaseException)), None)
