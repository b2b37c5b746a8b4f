"""The Java runtime that a local Spark session starts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

OLDEST = 17
INSTALL = "On Debian: apt-get install default-jre-headless; elsewhere set JAVA_HOME to any JDK from 17 on."


class SparkError(RuntimeError):
    """Spark can't be started or reached; the text says what to do."""


class JavaError(SparkError):
    """There is no Java that Spark can use; the text says what to install."""


class Java(NamedTuple):
    """A Java runtime: its command, and the output of ``-version``."""

    command: str
    version: str


def find_java() -> Java:
    """The runtime that PySpark uses: that of ``JAVA_HOME``, else the first on the PATH.

    Raises:
        JavaError: there is none, it does not run, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    command = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if command is None:
        raise JavaError(f"Spark needs Java {OLDEST} or newer and no 'java' is on the PATH. {INSTALL}")
    try:
        answer = subprocess.run([command, "-version"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise JavaError(
            f"Spark needs Java {OLDEST} or newer, and {command} does not run: {error}. {INSTALL}"
        ) from error
    found = re.search(r'version "(?:1\.)?(\d+)[^"]*"', answer.stderr + answer.stdout)
    if found is None or int(found[1]) < OLDEST:
        printed = answer.stderr.splitlines()[0] if answer.stderr else "nothing"
        raise JavaError(f"Spark needs Java {OLDEST} or newer; {command} prints {printed}. {INSTALL}")
    return Java(command, answer.stderr.strip())
