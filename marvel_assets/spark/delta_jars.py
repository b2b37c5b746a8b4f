"""The two jars that Delta needs in a local JVM, fetched once into the home.

For tables in folders nothing that they depend on is loaded. (Spark's own ``spark.jars.packages`` would fetch 33 jars,
and ask a repository at every start.)
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from marvel_assets.spark.java import SparkError
from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import exclusive

REPOSITORY = "https://repo1.maven.org/maven2/io/delta"
SECONDS = 60


class JarsError(SparkError):
    """A jar can't be had; the text names it, and where to put it by hand."""


class Jar(NamedTuple):
    """A jar of Maven Central, and the SHA-256 of the one that is trusted."""

    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name in the folder of the jars."""
        return f"{self.artifact}-{self.version}.jar"


DELTA_JARS = (
    Jar("delta-spark_4.2_2.13", "4.4.0", "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead"),
    Jar("delta-storage", "4.4.0", "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc"),
)


def provide_jars(folder: Path, locks: Path) -> list[Path]:
    """The jars' files; those that are missing are fetched, once for all processes.

    Raises:
        JarsError: a jar can't be fetched, or isn't the one that is trusted.
    """
    files = [folder / jar.file_name for jar in DELTA_JARS]
    if all(file.exists() for file in files):
        return files
    with exclusive(locks, "delta-jars"):
        for jar, file in zip(DELTA_JARS, files, strict=True):
            if not file.exists():
                _fetch(jar, file)
    return files


def _fetch(jar: Jar, file: Path) -> None:
    import requests

    url = f"{REPOSITORY}/{jar.artifact}/{jar.version}/{jar.file_name}"
    try:
        response = requests.get(url, timeout=SECONDS)
        response.raise_for_status()
    except requests.RequestException as error:
        raise JarsError(
            f"{url} can't be fetched: {error}. With a network, run again; without, put {jar.file_name} into "
            f"{file.parent}."
        ) from error
    digest = hashlib.sha256(response.content).hexdigest()
    if digest != jar.sha256:
        raise JarsError(f"{url} has SHA-256 {digest}, expected {jar.sha256}; it is not used.")
    with atomic_write(file) as aside:
        aside.write_bytes(response.content)
