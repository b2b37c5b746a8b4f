"""Code versions of assets, taken from the files that decide what they make."""

from __future__ import annotations

import hashlib
from importlib.resources import files


def version_of(*survival_files: str) -> str:
    """A hash of files of the domain: an asset is stale when one of them has changed, and only then."""
    folder = files("marvel_assets.survival")
    content = b"\0".join(folder.joinpath(name).read_bytes() for name in survival_files)
    return hashlib.sha256(content).hexdigest()[:12]


def recipe_of(*parts: object) -> str:
    """A hash of all that decides what an asset makes. Equal recipes make equal things, so nothing is made twice."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()[:32]
