"""The address of a Spark Connect server, looked at before a session is asked for."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import dagster as dg

from marvel_assets.utils.redaction import connect_url_problem

DEFAULT_PORT = 15002


def check_reachable(url: str | None, seconds: float) -> str:
    """Return the address where something listens there.

    PySpark's own client would try for minutes, and say nothing of the address.

    Raises:
        dagster.Failure: naming the address and what is wrong with it.
    """
    if not url:
        raise dg.Failure(
            "No Spark Connect server is named: set MARVEL_SPARK_URL to sc://host:port.", allow_retries=False
        )
    if problem := connect_url_problem(url):
        raise dg.Failure(f"MARVEL_SPARK_URL {problem}", allow_retries=False)
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORT if parts.port is None else parts.port
    except ValueError:  # no number, or too large a one
        port = 0
    if not (port and parts.scheme == "sc" and parts.hostname):
        raise dg.Failure(
            f"{url.split(';')[0]} is not an address like sc://host:port (MARVEL_SPARK_URL).", allow_retries=False
        )
    deadline = time.monotonic() + seconds
    try:
        socket.create_connection((parts.hostname, port), timeout=max(1.0, deadline - time.monotonic())).close()
    except OSError as error:
        raise dg.Failure(
            f"No Spark Connect server answers at {url}: {error}. Start one with `make spark-server`, or name "
            "another in MARVEL_SPARK_URL.",
            allow_retries=False,
        ) from error
    _check_that_it_speaks(url, deadline)
    return url


def _check_that_it_speaks(url: str, deadline: float) -> None:
    """Wait for the connection to be one of gRPC, with the client's own idea of encryption and tokens."""
    import grpc
    from pyspark.sql.connect.client import DefaultChannelBuilder

    seconds = max(1.0, deadline - time.monotonic())
    with DefaultChannelBuilder(url).toChannel() as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=seconds)
        except grpc.FutureTimeoutError as error:
            raise dg.Failure(
                f"What listens at {url} does not answer as a Spark Connect server within {seconds:.0f} s "
                "(MARVEL_SPARK_URL).",
                allow_retries=False,
            ) from error
