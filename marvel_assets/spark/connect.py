"""The address of a Spark Connect server, looked at before a session is asked for."""

from __future__ import annotations

from marvel_assets.spark.java import SparkError


def check_reachable(url: str, seconds: float) -> None:
    """Look whether a Spark Connect server answers: PySpark's own client would try for minutes, and name no address.

    Raises:
        SparkError: naming the address and what is wrong with it.
    """
    import grpc
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder

    address = url.partition(";")[0]
    try:
        # With the client's own idea of encryption and tokens.
        with DefaultChannelBuilder(url).toChannel() as channel:
            grpc.channel_ready_future(channel).result(timeout=seconds)
    except (PySparkException, ValueError) as error:
        raise SparkError(f"{address} is not an address like sc://host:port (MARVEL_SPARK_URL).") from error
    except grpc.FutureTimeoutError as error:
        raise SparkError(
            f"No Spark Connect server answers at {address} within {seconds:.0f} s. Start one with `make spark-server`, "
            "or name another in MARVEL_SPARK_URL."
        ) from error
