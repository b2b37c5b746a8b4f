"""A Spark Connect server with Delta on this machine: one JVM for many runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from marvel_assets.spark.local import LocalJvm

MAIN_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


def server_command(folder: Path, locks: Path, port: int) -> list[str]:
    """The command that serves ``sc://127.0.0.1:<port>`` in the foreground until it is ended.

    Args:
        folder: of Delta's jars.
        locks: folder of the lock files.
        port: to listen on, on the loopback interface only: anyone who can reach it may run code.

    Raises:
        JavaError: no usable Java was found.
        JarsError: the jars are not there and can't be fetched.
    """
    import pyspark

    settings = {
        **LocalJvm.prepare(folder, locks).settings({}),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    # These two shape the JVM that spark-submit becomes, and are read by no setting that comes later.
    java_options = str(settings.pop("spark.driver.extraJavaOptions"))
    class_path = str(settings.pop("spark.driver.extraClassPath"))
    options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    return [
        str(Path(pyspark.__file__).parent / "bin" / "spark-submit"),
        "--driver-java-options",
        java_options,
        "--driver-class-path",
        class_path,
        *options,
        "--class",
        MAIN_CLASS,
        "spark-internal",
    ]


def serve(folder: Path, locks: Path, port: int) -> None:
    """Become the server: this process is replaced, so that ending it ends the JVM."""
    import pyspark

    command = server_command(folder, locks, port)
    home = str(Path(pyspark.__file__).parent)
    environment = {**os.environ, **LocalJvm.workers(), "SPARK_HOME": home, "SPARK_LOCAL_IP": "127.0.0.1"}
    # Where a shell started it in the background Ctrl+C is ignored, and after Dagster's import SIGTERM as well; the JVM
    # would inherit that, and nothing short of SIGKILL would end it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execve(command[0], command, environment)  # noqa: S606
