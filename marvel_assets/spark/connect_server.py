"""A Spark Connect server with Delta on this machine: one JVM for many runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from marvel_assets.spark.local import LocalJvm

MAIN_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"


def serve(folder: Path, locks: Path, port: int) -> None:
    """Replace this process by the server of ``sc://127.0.0.1:<port>``, so that ending the process ends the JVM.

    It listens on the loopback interface only: anyone who can reach it may run code.

    Args:
        folder: keeps the jars and Spark's scratch files.
        locks: folder of the lock files.
        port: to listen on.

    Raises:
        JavaError: no usable Java was found.
        JarsError: the jars are missing and can't be downloaded.
    """
    import pyspark

    settings = {
        **LocalJvm.prepare(folder, locks).settings({}),
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": str(port),
    }
    # spark-submit starts the JVM with these two; as --conf they would come too late.
    java_options = str(settings.pop("spark.driver.extraJavaOptions"))
    class_path = str(settings.pop("spark.driver.extraClassPath"))
    home = Path(pyspark.__file__).parent
    command = [
        str(home / "bin" / "spark-submit"), "--driver-java-options", java_options, "--driver-class-path", class_path,
        *(part for key, value in settings.items() for part in ("--conf", f"{key}={value}")),
        "--class", MAIN_CLASS, "spark-internal",
    ]  # fmt: skip
    environment = {**os.environ, **LocalJvm.workers(), "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    # Importing Dagster may have SIGTERM ignored in a background job of a shell, where Ctrl+C is ignored, too. The JVM
    # would inherit that, and only SIGKILL would end it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execve(command[0], command, environment)  # noqa: S606
