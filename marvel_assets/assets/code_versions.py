"""Code versions of assets, taken from the files that decide what they make."""

from __future__ import annotations

import hashlib
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def version_of(*package_files: str) -> str:
    """A hash of files of this package: an asset is stale when one of them has changed, and only then."""
    content = b"\0".join((PACKAGE / name).read_bytes() for name in package_files)
    return hashlib.sha256(content).hexdigest()[:12]


def recipe_of(*parts: object) -> str:
    """A hash of all that decides what an asset makes. Equal recipes make equal things, so nothing is made twice."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()[:32]
