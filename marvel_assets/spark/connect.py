"""The address of a Spark Connect server, looked at before a session is asked for."""

from __future__ import annotations

import dagster as dg

from marvel_assets.utils.redaction import connect_url_problem


def check_reachable(url: str, seconds: float) -> str:
    """Return the address where a Spark Connect server answers there.

    PySpark's own client would try for minutes, and say nothing of the address.

    Raises:
        dagster.Failure: naming the address and what is wrong with it.
    """
    import grpc
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder

    if problem := connect_url_problem(url):
        raise dg.Failure(f"MARVEL_SPARK_URL {problem}", allow_retries=False)
    try:
        # With the client's own idea of encryption and tokens.
        with DefaultChannelBuilder(url).toChannel() as channel:
            grpc.channel_ready_future(channel).result(timeout=seconds)
    except (PySparkException, ValueError) as error:
        raise dg.Failure(
            f"{url.partition(';')[0]} is not an address like sc://host:port (MARVEL_SPARK_URL).", allow_retries=False
        ) from error
    except grpc.FutureTimeoutError as error:
        raise dg.Failure(
            f"No Spark Connect server answers at {url} within {seconds:.0f} s. Start one with `make spark-server`, or "
            "name another in MARVEL_SPARK_URL.",
            allow_retries=False,
        ) from error
    return url
