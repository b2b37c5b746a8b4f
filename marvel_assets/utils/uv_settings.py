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
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
"""For each of pip's settings, uv's variable."""


def uv_settings(python: Path, cache: Path) -> dict[str, str]:
    """Environment variables for uv, without those that are set already.

    Args:
        python: an interpreter with pip, whose configuration is read.
        cache: used if the user's cache folder isn't writable.
    """
    settings = _pip_settings(python)
    certificates = ssl.get_default_verify_paths()
    if certificates.cafile or (certificates.capath and os.listdir(certificates.capath)):  # noqa: PTH208
        settings["UV_SYSTEM_CERTS"] = "true"  # with an empty store uv would trust none
    user_cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "uv")  # noqa: PTH111
    existing = next(folder for folder in (user_cache, *user_cache.parents) if os.path.exists(folder))  # noqa: PTH110
    if not os.access(existing, os.W_OK | os.X_OK):
        settings["UV_CACHE_DIR"] = str(cache)
    return {name: value for name, value in settings.items() if name not in os.environ}


def _pip_settings(python: Path) -> dict[str, str]:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    values = {name: value for name, _, value in (line.partition("=") for line in listed.splitlines())}
    settings = {
        variable: ("," if key == "find-links" else " ").join(ast.literal_eval(values[f"{section}.{key}"]).split())
        for section in ("global", "install", ":env:")  # the last one wins
        for key, variable in FROM_PIP.items()
        if f"{section}.{key}" in values
    }
    # pip takes the best version of all its indexes, uv by default only those of the first index with the package.
    return settings | ({"UV_INDEX_STRATEGY": "unsafe-best-match"} if "UV_INDEX" in settings else {})
