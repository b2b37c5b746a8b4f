"""The Python that the real Databricks Connect client runs on."""

import functools
import shutil
import subprocess


@functools.cache
def databricks_python() -> str | None:
    """A Python 3.13 or 3.12 of this machine, or None. A shim may stand for a version that is not installed."""
    for name in ("python3.13", "python3.12"):
        if (python := shutil.which(name)) and subprocess.run([python, "-c", ""], check=False).returncode == 0:
            return python
    return None
