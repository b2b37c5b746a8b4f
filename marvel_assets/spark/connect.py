"""What a remote session needs, looked at before it is asked for: a server that answers, compute on Databricks."""

from __future__ import annotations

import os

from marvel_assets.spark.java import SparkError
from marvel_assets.utils.databricks import databricks_config


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


def check_compute(profile: str | None) -> None:
    """Look whether something says on what Databricks Connect is to run: it would find out after a minute's imports.

    Args:
        profile: of the Databricks configuration; without one, the client takes an address in SPARK_REMOTE first.

    Raises:
        SparkError: there are no credentials, or no compute is named.
    """
    if profile is None and os.environ.get("SPARK_REMOTE"):
        return
    try:
        config = databricks_config(profile)
    except ValueError as error:
        raise SparkError(str(error)) from error
    if not (config.cluster_id or config.serverless_compute_id):
        raise SparkError(
            f"No compute on {config.host} is named. Set DATABRICKS_CLUSTER_ID to a cluster's id, or "
            "DATABRICKS_SERVERLESS_COMPUTE_ID=auto; in a profile these are cluster_id and serverless_compute_id."
        )
