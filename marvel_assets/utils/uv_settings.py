"""What uv takes over from this machine: whom it trusts, and which package index pip uses.

Needs nothing but the standard library: ``tools/bootstrap.py`` imports it before anything is installed.
"""

from __future__ import annotations

import ast
import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FROM_PIP = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("ALL_PROXY", " "),
}
"""pip's settings, and for each uv's variable and what separates several values."""

PRECEDENCE = ("global", "install", ":env:")
"""pip's sections, the one that wins last."""


def uv_settings(python: Path) -> dict[str, str]:
    """Environment variables for uv, where this process has not set them itself.

    Args:
        python: an interpreter with pip, whose configuration is read.
    """
    settings = {**_pip_settings(python), "UV_SYSTEM_CERTS": "true"}
    return {name: value for name, value in settings.items() if name not in os.environ}


def _pip_settings(python: Path) -> dict[str, str]:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    given: dict[tuple[str, str], str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        given[section, key] = str(ast.literal_eval(value))
    settings = {
        variable: separator.join(given[section, key].split())
        for section in PRECEDENCE
        for key, (variable, separator) in FROM_PIP.items()
        if (section, key) in given
    }
    # pip takes the best version of all its indexes, uv by default those of the first that knows the package.
    return settings | ({"UV_INDEX_STRATEGY": "unsafe-best-match"} if "UV_INDEX" in settings else {})
