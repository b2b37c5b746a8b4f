"""Spark on this machine: Java, Delta's jars, settings, and a Spark Connect server."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import dagster as dg

LOOPBACK = "127.0.0.1"
OLDEST_JAVA = 17
INSTALL = "On Debian: apt-get install default-jre-headless; elsewhere set JAVA_HOME to any JDK from 17 on."

DELTA_JARS = {
    "delta-spark_4.2_2.13-4.4.0.jar": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    "delta-storage-4.4.0.jar": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
}
"""The jars of ``io.delta`` on Maven Central that a local JVM needs, and their SHA-256."""

SETTINGS = {
    "spark.master": "local[*]",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.driver.bindAddress": LOOPBACK,
    "spark.driver.host": LOOPBACK,
    "spark.driver.memory": "2g",
    "spark.sql.session.timeZone": "UTC",
}
"""Delta, on one small machine."""

FAST_START = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto -Xlog:disable -Xlog:all=error:stderr"
"""Short runs end before the optimising compiler pays off. A class-data archive that can't be used is ignored."""


class SparkError(dg.Failure):
    """Spark can't be started or reached; the text says what to do."""


def local_settings(folder: Path, *, writes_class_archive: bool = True) -> dict[str, str]:
    """Spark's settings for a JVM on this machine. Missing jars are downloaded.

    Args:
        folder: keeps the jars, a class-data archive, and Spark's scratch files.
        writes_class_archive: if there is no archive yet, the JVM writes its classes into one when it ends, which takes
            some seconds; later ones start faster with it.
    """
    import pyspark

    java, version = find_java()
    folder = folder.resolve()  # the archive is only valid for the same class path, to the letter
    class_path = os.pathsep.join(map(str, ensure_jars(folder / "jars", java)))
    archive_key = f"{version}|{pyspark.__version__}|{pyspark.__file__}|{class_path}"
    archive = folder / f"classes-{hashlib.sha256(archive_key.encode()).hexdigest()[:12]}.jsa"
    java_options = [f"-Dlog4j2.configurationFile={files('marvel_assets.spark') / 'log4j2.properties'}"]
    if archive.exists():
        java_options.append(f"-XX:SharedArchiveFile={archive}")
    elif writes_class_archive:
        java_options.append(f"-XX:ArchiveClassesAtExit={archive}")
    scratch = folder / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    return {
        **SETTINGS,
        "spark.driver.extraClassPath": class_path,
        "spark.executor.extraClassPath": class_path,
        "spark.driver.extraJavaOptions": " ".join([FAST_START, *(f'"{option}"' for option in java_options)]),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
    }


def serve(folder: Path, port: int) -> None:
    """Replace this process with the server at ``sc://127.0.0.1:<port>``, so that ending the process ends the JVM.

    It listens on the loopback interface only: anyone who can reach it may run code.
    """
    import pyspark

    settings = local_settings(folder, writes_class_archive=False)
    settings |= {"spark.connect.grpc.binding.address": LOOPBACK, "spark.connect.grpc.binding.port": str(port)}
    spark_home = Path(pyspark.__file__).parent
    options = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    server = ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    command = [str(spark_home / "bin" / "spark-submit"), *options, *server]
    python = os.environ.get("PYSPARK_PYTHON") or sys.executable
    variables = {"PYSPARK_PYTHON": python, "SPARK_HOME": str(spark_home), "SPARK_LOCAL_IP": LOOPBACK}
    # In a shell's background job, which ignores Ctrl+C, importing Dagster makes this process ignore SIGTERM, too. The
    # JVM would inherit that, and only SIGKILL would end it.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.execve(command[0], command, {**os.environ, **variables})  # noqa: S606


def find_java() -> tuple[str, str]:
    """The runtime that PySpark uses, that of ``JAVA_HOME`` or else the first on the PATH, and its version text."""
    needed = f"Spark needs Java {OLDEST_JAVA} or newer"
    java_home = os.environ.get("JAVA_HOME")
    command = str(Path(java_home, "bin", "java")) if java_home else shutil.which("java")
    if command is None:
        raise SparkError(f"{needed} and no 'java' is on the PATH. {INSTALL}")
    try:
        answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise SparkError(f"{needed}, and {command} does not run: {error}. {INSTALL}") from error
    version = answer.stderr.strip()
    found = re.search(r'version "(\d+)', version)
    if found is None or int(found[1]) < OLDEST_JAVA:
        raise SparkError(f"{needed}; {command} prints {version.partition(os.linesep)[0]}. {INSTALL}")
    return command, version


def ensure_jars(folder: Path, java: str) -> list[Path]:
    """The files of Delta's jars. Ivy, which comes with Spark, downloads missing ones.

    ``spark.jars.packages`` would download 33 jars, which tables in folders don't need, and query a repository at every
    start.

    Raises:
        SparkError: a jar can't be downloaded, or has another SHA-256.
    """
    import pyspark

    [ivy] = Path(pyspark.__file__).parent.joinpath("jars").glob("ivy-*.jar")
    folder.mkdir(parents=True, exist_ok=True)
    jars = {folder / name: sha256 for name, sha256 in DELTA_JARS.items()}
    for jar, sha256 in jars.items():
        if jar.exists():
            continue
        artifact, _, version = jar.stem.rpartition("-")
        with tempfile.TemporaryDirectory(dir=folder, prefix="ivy-") as scratch:
            command = [
                java, "-jar", str(ivy), "-dependency", "io.delta", artifact, version, "-confs", "default",
                "-notransitive", "-cache", f"{scratch}/cache", "-retrieve", f"{scratch}/[artifact]-[revision].[ext]",
            ]  # fmt: skip
            try:
                printed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout  # noqa: S603
            except subprocess.TimeoutExpired as error:
                printed = str(error)
            downloaded = Path(scratch, jar.name)
            if not downloaded.exists():
                lines = [line.strip(" :\t") for line in printed.splitlines()]
                reasons = [line for line in lines if re.search("Exception|not found$|^Server", line)] or lines[-1:]
                raise SparkError(
                    f"io.delta:{artifact}:{version} can't be downloaded from Maven Central: {' '.join(reasons[:1])}. "
                    f"With a network, run again; without one, put {jar.name} into {folder}."
                )
            digest = hashlib.sha256(downloaded.read_bytes()).hexdigest()
            if digest != sha256:
                raise SparkError(f"{jar.name} was downloaded with SHA-256 {digest}, expected {sha256}; it is not used.")
            downloaded.replace(jar)
    return list(jars)
