"""Downloads from URLs, bounded in size and time and never redirected into a private network, and from Kaggle."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from urllib3.exceptions import HTTPError, ProtocolError

from marvel_assets.sources.base import SourceError
from marvel_assets.utils.errors import root_cause
from marvel_assets.utils.redaction import redact_url

HOSTS, MAX_BYTES, MAX_SECONDS = "MARVEL_SOURCE_HOSTS", "MARVEL_SOURCE_MAX_BYTES", "MARVEL_SOURCE_MAX_SECONDS"
TIMEOUT_SECONDS = 10, 45  # to connect, and between two pieces of an answer
CHUNK_BYTES = 1 << 20


def download(url: str, folder: Path) -> Path:
    """Download the file behind a URL into a folder, or raise a SourceError that says why it can't be."""
    max_bytes, max_seconds = _limit(MAX_BYTES, 2 << 30), _limit(MAX_SECONDS, 1800)
    target, deadline = folder / "download", time.monotonic() + max_seconds
    with _response(url) as response, target.open("wb") as file:
        # Reads what has arrived, so that a slow trickle is noticed; unpacked a chunk at a time.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            file.write(chunk)
            if file.tell() > max_bytes:
                raise _RefusedError(f"it is larger than {max_bytes:,} bytes; raise {MAX_BYTES}, or download it by hand")
            if time.monotonic() > deadline:
                raise _RefusedError(f"it took more than {max_seconds:,} seconds; try again, or raise {MAX_SECONDS}")
    return target


def remote_version(url: str) -> list[str] | None:
    """The file's entity tag, else the time of its last change with its size; None where the server names neither."""
    with _response(url) as response:
        for names in (["ETag"], ["Last-Modified", "Content-Length"]):
            if all(name in response.headers for name in names):
                return [response.headers[name] for name in names]
    return None


def download_kaggle(handle: str) -> Path:
    """Download the data set ``<owner>/<dataset>``; returns its folder, which kagglehub keeps in its own cache."""
    import kagglehub

    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub lets every error of its HTTP stack through
        raise SourceError(
            f"kaggle:{handle}: can't be downloaded ({type(error).__name__}: {error}). Check the network and the "
            "credentials (KAGGLE_API_TOKEN, or ~/.kaggle/kaggle.json), or download the CSV file by hand and set "
            "MARVEL_SOURCE to its path."
        ) from error


class _RefusedError(Exception):
    """A download that is not allowed, or has failed; its text holds no secret."""


@contextmanager
def _response(url: str) -> Iterator[requests.Response]:
    """The server's answer, whose body is not read yet; errors are raised without the URL's secrets."""
    try:
        with _Session() as session, session.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
            if response.status_code != HTTPStatus.OK:  # whatever else comes with a body is not the file
                raise _RefusedError(f"the server answered {response.status_code}")  # noqa: TRY301
            yield response
            return
    except _RefusedError as error:
        reason = str(error)
    except ProtocolError:
        reason = "the connection broke off"
    except (HTTPError, ValueError, OSError) as error:
        # The system's reason. The texts of requests and urllib3 may quote the URL, so that only their names are shown.
        reason = getattr(root_cause(error), "strerror", None) or type(error).__name__
    raise SourceError(
        f"{redact_url(url)}: can't be downloaded: {reason}. Check the address and the network, or set MARVEL_SOURCE to "
        "another."
    ) from None


class _Session(requests.Session):
    """Checks each address before it is requested, also those that servers redirect to."""

    _first: SplitResult | None = None

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # noqa: ANN401 - as given
        address = urlsplit(str(request.url))
        first = self._first = self._first or address
        allowed = {host for name in os.environ.get(HOSTS, "").split(",") if (host := name.strip().lower())}
        if allowed and address.hostname not in allowed:
            raise _RefusedError(f"{HOSTS} allows only {', '.join(sorted(allowed))}, and not {address.hostname}")
        if (first.scheme, address.scheme) == ("https", "http"):
            raise _RefusedError(f"the server redirects from https: down to {redact_url(str(request.url))}")
        if address.hostname != first.hostname and not _is_public(str(address.hostname)):
            raise _RefusedError(
                f"the server redirects to {address.hostname}, which is not a public address; if it is the right one, "
                "set MARVEL_SOURCE to where it leads"
            )
        return super().send(request, **settings)


def _is_public(host: str) -> bool:
    """Whether a host has only public addresses. Names that only a proxy can resolve are left to it."""
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return True
    return all(ip_address(str(address[0])).is_global for *_, address in found)


def _limit(variable: str, default: int) -> int:
    value = os.environ.get(variable) or str(default)
    if not (value.isdecimal() and int(value)):
        raise SourceError(f"{variable} is {value!r}; expected a whole number above 0.")
    return int(value)
