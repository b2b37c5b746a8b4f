"""The two jars that Delta needs in a local JVM, downloaded once into the home.

Ivy, which comes with Spark, downloads them without their dependencies, which tables in folders don't need.
(``spark.jars.packages`` would download 33 jars, and query a repository at every start.)
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from marvel_assets.spark.java import Java, SparkError
from marvel_assets.utils.locks import exclusive

SECONDS = 120
GROUP = "io.delta"


class JarsError(SparkError):
    """A jar can't be downloaded; the text names it, and where to put it manually."""


class Jar(NamedTuple):
    """A jar of Maven Central, with its expected SHA-256."""

    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its file name."""
        return f"{self.artifact}-{self.version}.jar"


DELTA_JARS = (
    Jar("delta-spark_4.2_2.13", "4.4.0", "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead"),
    Jar("delta-storage", "4.4.0", "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc"),
)


def provide_jars(folder: Path, locks: Path, java: Java) -> list[Path]:
    """The jars' files; missing ones are downloaded, by one process at a time.

    Raises:
        JarsError: a jar can't be downloaded, or has another SHA-256.
    """
    files = [folder / jar.file_name for jar in DELTA_JARS]
    if all(file.exists() for file in files):
        return files
    with exclusive(locks, "delta-jars"):
        for jar, file in zip(DELTA_JARS, files, strict=True):
            if not file.exists():
                _fetch(jar, file, java)
    return files


def _fetch(jar: Jar, file: Path, java: Java) -> None:
    import pyspark

    [ivy] = Path(pyspark.__file__).parent.joinpath("jars").glob("ivy-*.jar")
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix="ivy-") as folder:
        command = [
            java.command, "-jar", str(ivy),
            "-dependency", GROUP, jar.artifact, jar.version, "-confs", "default", "-notransitive",
            "-cache", f"{folder}/cache", "-retrieve", f"{folder}/[artifact]-[revision].[ext]",
        ]  # fmt: skip
        by_hand = f"With a network, run again; without one, put {jar.file_name} into {file.parent}."
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise JarsError(
                f"{GROUP}:{jar.artifact}:{jar.version} was not downloaded within {SECONDS} s. {by_hand}"
            ) from error
        fetched = Path(folder, jar.file_name)
        if not fetched.exists():
            raise JarsError(
                f"{GROUP}:{jar.artifact}:{jar.version} can't be downloaded from Maven Central: {_reason(done.stdout)}. "
                f"{by_hand}"
            )
        digest = hashlib.sha256(fetched.read_bytes()).hexdigest()
        if digest != jar.sha256:
            raise JarsError(
                f"{jar.file_name} was downloaded with SHA-256 {digest}, expected {jar.sha256}; it is not used."
            )
        fetched.replace(file)


def _reason(printed: str) -> str:
    """The line of Ivy's output that has the reason."""
    lines = [line.strip(" :\t") for line in printed.splitlines()]
    reasons = [line for line in lines if "Exception" in line or line.endswith("not found") or line.startswith("Server")]
    return next(iter([*reasons, *lines[-1:]]), "Ivy printed nothing")
