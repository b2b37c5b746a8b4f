"""A Spark session, started when it is first asked for and stopped with the run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, PrivateAttr

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SMALL_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
}
"""Settings that suit one small machine; ``settings`` overrides them."""


class Spark(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A local Spark session. Only an asset that calls ``session()`` pays for the JVM."""

    master: str = Field(default="local[*]", description="Spark master of the local session.")
    settings: dict[str, str] = Field(default_factory=dict, description="Spark settings, over the defaults.")

    _session: SparkSession | None = PrivateAttr(default=None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Spark]:  # noqa: ARG002
        """Hand out the resource, and stop the session where one was started."""
        try:
            yield self
        finally:
            if self._session is not None:
                self._session.stop()
                self._session = None

    def session(self) -> SparkSession:
        """The session, started by the first call.

        Raises:
            dagster.Failure: pyspark or Java is missing.
        """
        if self._session is None:
            self._session = self._start()
        return self._session

    def _start(self) -> SparkSession:
        try:
            from pyspark.sql import SparkSession
        except ImportError as error:
            raise dg.Failure(
                "pyspark is not installed; install the extra: python3 tools/bootstrap.py pipeline spark",
                allow_retries=False,
            ) from error
        if shutil.which("java") is None:
            raise dg.Failure(
                "Spark needs Java 17 or newer and no 'java' is on the PATH; on Debian: apt-get install "
                "default-jre-headless",
                allow_retries=False,
            )
        builder = SparkSession.builder.master(self.master).appName("marvel_assets")
        for key, value in {**SMALL_MACHINE, **self.settings}.items():
            builder = builder.config(key, value)
        return builder.getOrCreate()
