"""uv's settings for this machine: its cache, the system's certificates, and pip's package indexes.

Needs only the standard library: ``tools/bootstrap.py`` imports it before anything is installed.
"""

from __future__ import annotations

import ast
import os
import ssl
import subprocess
from pathlib import Path

FROM_PIP = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("ALL_PROXY", " "),
}
"""For each of pip's settings, uv's variable and the separator between values."""

PRECEDENCE = ("global", "install", ":env:")
"""pip's sections; the last one wins."""


def uv_settings(python: Path, cache: Path) -> dict[str, str]:
    """Environment variables for uv, without those that are set already.

    Args:
        python: an interpreter with pip, whose configuration is read.
        cache: used if the user's cache folder isn't writable.
    """
    settings = _pip_settings(python)
    if _has_system_certificates():
        settings["UV_SYSTEM_CERTS"] = "true"
    if not _is_writable(Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "uv")):  # noqa: PTH111
        settings["UV_CACHE_DIR"] = str(cache)
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
    # pip takes the best version of all its indexes, uv by default only those of the first index with the package.
    return settings | ({"UV_INDEX_STRATEGY": "unsafe-best-match"} if "UV_INDEX" in settings else {})


def _has_system_certificates() -> bool:
    """Whether the system has certificates; with an empty store uv would trust none."""
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile or (paths.capath and os.listdir(paths.capath)))  # noqa: PTH208


def _is_writable(folder: Path) -> bool:
    """Whether a folder can be written to, or created."""
    existing = next(place for place in (folder, *folder.parents) if os.path.exists(place))  # noqa: PTH110
    return os.access(existing, os.W_OK | os.X_OK)
