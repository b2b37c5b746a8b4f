"""Loads a basic model without trusting its metadata.

MLflow takes the types that skops may construct, and even the file format, from the MLmodel file beside the model. Here
this package decides both.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MODEL_FILE = "model.skops"


class UntrustedModelError(RuntimeError):
    """There is no skops file, or it holds types that this project's pipelines don't use."""


def load_trusted(folder: Path) -> Pipeline:
    """The pipeline of a basic model, from the folder of its files; else an ``UntrustedModelError``."""
    import skops.io

    from marvel_assets.model.pipeline import TRUSTED_TYPES

    try:
        return skops.io.load(folder / MODEL_FILE, trusted=list(TRUSTED_TYPES))
    except Exception as error:
        raise UntrustedModelError(f"{folder / MODEL_FILE} is not loaded: {error}") from error


def digest_of_files(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's files."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name != "registered_model_meta":  # which MLflow adds when it downloads a version
            digest.update(f"{name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
