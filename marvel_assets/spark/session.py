"""The Spark session of a run: started on first use, stopped with the run."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import dagster as dg
from pydantic import Field, PrivateAttr

from marvel_assets.spark.local import LOOPBACK, SparkError, find_java, local_settings

if TYPE_CHECKING:
    from databricks.sdk.config import Config
    from pyspark.sql import SparkSession

CONNECT_SECONDS = 10  # how long to wait for the answer of a Spark Connect server, or of Databricks to one request


class Spark(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A Spark session with Delta: local, on a Spark Connect server or on Databricks."""

    # Secrets are only read from the environment, by the clients of Spark Connect and Databricks.

    mode: Literal["local", "connect", "databricks"] = Field(
        default="local", description="A JVM of this process, a Spark Connect server, or compute on Databricks."
    )
    folder: str = Field(description="Folder of Delta's jars and Spark's scratch files (local).")
    url: str | None = Field(default=None, description="sc://host:port of the server (connect), without a token.")
    profile: str | None = Field(default=None, description="Databricks' profile. Default: the DATABRICKS_… variables.")
    settings: dict[str, str] = Field(default_factory=dict, description="Spark settings that replace the defaults.")

    _session: SparkSession | None = PrivateAttr(default=None)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002
        """Stop the session at the end of the run."""
        if self._session is not None:
            self._session.stop()
            self._session = None

    def session(self) -> SparkSession:
        """The session, started on the first call.

        Raises:
            SparkError: a package, Java, a jar or compute is missing, or the server can't be reached.
        """
        if self._session is None:
            self._check()
            self._session = self._start()
        return self._session

    def problems(self) -> list[str]:
        """What a session still lacks: a package, Java, a server that answers, compute."""
        try:
            self._check()
        except (SparkError, ValueError) as error:
            return [str(error)]
        return []

    def _check(self) -> None:
        module, extra = ("databricks.connect", "databricks") if self.mode == "databricks" else ("pyspark", "spark")
        if find_spec(module) is None:
            raise SparkError(
                f"{module} is not installed; install the extra: python3 tools/bootstrap.py {extra}, or run: make run "
                f"PROFILE={extra}"
            )
        match self.mode:
            case "local":
                find_java()
            case "connect":
                _check_reachable(self.url or "")
            case "databricks":
                check_compute(self.profile)

    def _start(self) -> SparkSession:
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.appName("marvel_assets")
        if self.mode == "local":
            os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK)
            os.environ["PYSPARK_PYTHON"] = os.environ.get("PYSPARK_PYTHON") or sys.executable
            return builder.config(map={**local_settings(Path(self.folder)), **self.settings}).getOrCreate()
        if self.mode == "databricks":
            from databricks.connect import DatabricksSession

            builder = DatabricksSession.builder.profile(self.profile) if self.profile else DatabricksSession.builder
        else:
            builder = builder.remote(str(self.url))
        session: SparkSession = builder.getOrCreate()
        for key, value in {"spark.sql.session.timeZone": "UTC", **self.settings}.items():
            session.conf.set(key, value)
        return session


def _check_reachable(url: str) -> None:
    """Check that a Spark Connect server answers: PySpark would retry for minutes, and not name the address."""
    import grpc
    from pyspark.errors import PySparkException
    from pyspark.sql.connect.client import DefaultChannelBuilder

    address = url.partition(";")[0]
    try:
        # With the client's encryption and token.
        with DefaultChannelBuilder(url).toChannel() as channel:
            grpc.channel_ready_future(channel).result(timeout=CONNECT_SECONDS)
    except (PySparkException, ValueError) as error:
        raise SparkError(f"{address} is not an address such as sc://host:port (MARVEL_SPARK_URL).") from error
    except grpc.FutureTimeoutError as error:
        raise SparkError(
            f"No Spark Connect server answers at {address} within {CONNECT_SECONDS} s. Start one with "
            "`make spark-server`, or change MARVEL_SPARK_URL."
        ) from error


def check_compute(profile: str | None) -> None:
    """Check for credentials and compute: Databricks Connect would only find out after a minute of imports."""
    if profile is None and os.environ.get("SPARK_REMOTE"):
        return
    config = databricks_config(profile)
    if not (config.cluster_id or config.serverless_compute_id):
        raise SparkError(
            f"No compute on {config.host} is configured. Set DATABRICKS_CLUSTER_ID to a cluster's id, or "
            "DATABRICKS_SERVERLESS_COMPUTE_ID=auto; in a profile these are cluster_id and serverless_compute_id."
        )


def databricks_config(profile: str | None = None, retry_seconds: int = 1) -> Config:
    """The workspace, credentials and compute of a profile, or else of the variables or the file's default profile.

    The credentials are not tried: only later requests fail, retried so long, if the workspace does not answer.

    Raises:
        ValueError: no credentials are configured.
    """
    from databricks.sdk.config import Config

    return Config(profile=profile, http_timeout_seconds=CONNECT_SECONDS, retry_timeout_seconds=retry_seconds)
