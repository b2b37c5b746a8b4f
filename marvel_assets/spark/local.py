"""A local JVM for Spark: its class path, its settings, and its class-data sharing archive."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.spark.delta_jars import provide_jars
from marvel_assets.spark.java import Java, JavaError, find_java
from marvel_assets.utils.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Mapping

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
SMALL_MACHINE = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.sql.session.timeZone": "UTC",
}
"""Settings for one small machine; the user's take precedence."""

FAST_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xlog:disable -Xlog:all=error:stderr"
"""Short runs end before the optimising compiler pays off. An archive that can't be used is ignored."""

ARCHIVE_SECONDS = 600


@dataclass(frozen=True)
class LocalJvm:
    """What starts a local session or server.

    Attributes:
        folder: holds the jars, the archive, and Spark's scratch files.
        locks: folder of the lock files.
        java: the runtime.
        jars: Delta's.
    """

    folder: Path
    locks: Path
    java: Java
    jars: tuple[Path, ...]

    @classmethod
    def prepare(cls, folder: Path, locks: Path) -> LocalJvm:
        """Find Java, and download missing jars.

        Raises:
            JavaError: no usable Java was found.
            JarsError: the jars are missing and can't be downloaded.
        """
        java = find_java()
        # The archive is only valid for the same class path, to the letter.
        folder = folder.resolve()
        return cls(folder, locks, java, tuple(provide_jars(folder / "jars", locks, java)))

    @staticmethod
    def workers() -> dict[str, str]:
        """The environment variable that has Python functions run with this interpreter."""
        return {"PYSPARK_PYTHON": os.environ.get("PYSPARK_PYTHON") or sys.executable}

    @property
    def archive(self) -> Path:
        """The class-data sharing archive for this Java, this Spark and these jars."""
        import pyspark

        made_of = [self.java.version, pyspark.__version__, pyspark.__file__, *map(str, self.jars)]
        return self.folder / f"classes-{hashlib.sha256('|'.join(made_of).encode()).hexdigest()[:12]}.jsa"

    def settings(self, own: Mapping[str, str], java_options: str = "") -> dict[str, str | int | float | bool | None]:
        """All of Spark's settings.

        Args:
            own: the user's, which take precedence.
            java_options: replace the option that uses the archive.
        """
        scratch = self.folder / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        archive = f"-XX:SharedArchiveFile={self.archive}" if self.archive.exists() else ""
        log = f"-Dlog4j2.configurationFile={files('marvel_assets.spark') / 'log4j2.properties'}"
        return {
            **DELTA,
            **SMALL_MACHINE,
            "spark.driver.extraClassPath": os.pathsep.join(map(str, self.jars)),
            "spark.executor.extraClassPath": os.pathsep.join(map(str, self.jars)),
            "spark.driver.extraJavaOptions": " ".join(f"{FAST_START} {log} {java_options or archive}".split()),
            "spark.local.dir": str(scratch),
            "spark.sql.warehouse.dir": str(scratch / "warehouse"),
            **own,
        }

    def build_cds_archive(self) -> None:
        """Run a session once, at whose end the JVM writes its classes into the archive.

        If the JVM can't, sessions start without one.

        Raises:
            JavaError: Spark does not start.
        """
        if self.archive.exists():
            return
        with exclusive(self.locks, "class-data"):
            if self.archive.exists():
                return
            print("* Making the class-data archive with which Spark starts faster (half a minute, once)", flush=True)  # noqa: T201
            unfinished = self.archive.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)
            command = [sys.executable, "-m", "marvel_assets.spark.cds_archive"]
            arguments = [str(self.folder), str(self.locks), str(unfinished)]
            done = subprocess.run(  # noqa: S603
                [*command, *arguments], capture_output=True, text=True, check=False, timeout=ARCHIVE_SECONDS
            )
            if done.returncode != 0:
                raise JavaError(f"Spark does not start with {self.java.command}: {done.stderr[-2000:]}")
            if unfinished.exists():
                unfinished.replace(self.archive)
