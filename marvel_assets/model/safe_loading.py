"""Loading a basic model without trusting what its own files say of themselves.

MLflow takes the types that skops may construct, and even the file format, from the MLmodel file that lies beside the
model. Here both are decided by this package, before anything of the model is read.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

MODEL_FILE = "model.skops"
WHEEL_FOLDER = "code"
WHEEL = re.compile(r"code/marvel_assets-[^/]+\.whl")
"""What a model brings for environments to install. MLflow puts the folder on ``sys.path``, which opens no wheel."""

WRITTEN_ON_DOWNLOAD = frozenset({"registered_model_meta"})
"""What MLflow adds to the files of a registered version when it brings them here."""


class UntrustedModelError(RuntimeError):
    """A model's files are not what this project writes, and were not loaded."""


def load_trusted(folder: Path) -> Pipeline:
    """The pipeline of a basic model, from the folder of its files.

    Raises:
        UntrustedModelError: not a skops file, or it holds types that this project's pipelines don't have.
    """
    import skops.io

    from marvel_assets.model.pipeline import TRUSTED_TYPES

    check_trusted(folder)
    return skops.io.load(folder / MODEL_FILE, trusted=list(TRUSTED_TYPES))


def check_trusted(folder: Path) -> None:
    """Look at a basic model's files without constructing anything of them.

    Raises:
        UntrustedModelError: MLflow would unpickle something, run code of the artifact, or construct unknown types.
    """
    import skops.io
    from mlflow.models import Model

    from marvel_assets.model.pipeline import TRUSTED_TYPES

    flavors = Model.load(str(folder)).flavors
    function, sklearn = flavors.get("python_function", {}), flavors.get("sklearn", {})
    found = {
        "loader_module": function.get("loader_module"),
        "model_path": function.get("model_path"),
        "pickled_model": sklearn.get("pickled_model"),
        "serialization_format": sklearn.get("serialization_format"),
    }
    expected = {
        "loader_module": "mlflow.sklearn",
        "model_path": MODEL_FILE,
        "pickled_model": MODEL_FILE,
        "serialization_format": "skops",
    }
    for name, value in found.items():
        if value != expected[name]:
            raise UntrustedModelError(
                f"{folder / 'MLmodel'}: {name} is {value!r}, expected {expected[name]!r}; this model was not logged by "
                "this project and is not loaded."
            )
    code = {str(flavor["code"]) for flavor in (function, sklearn) if flavor.get("code") is not None}
    files = {file.relative_to(folder).as_posix() for file in (folder / WHEEL_FOLDER).rglob("*")}
    if brought := sorted((code - {WHEEL_FOLDER}) | {file for file in files if not WHEEL.fullmatch(file)}):
        raise UntrustedModelError(
            f"{folder}: {', '.join(brought)} could be imported; the only code that a model may bring is the project's "
            "wheel. It is not loaded."
        )
    try:
        foreign = set(skops.io.get_untrusted_types(file=folder / MODEL_FILE)) - set(TRUSTED_TYPES)
    except Exception as error:
        raise UntrustedModelError(f"{folder / MODEL_FILE}: no skops file that can be read: {error}") from error
    if foreign:
        raise UntrustedModelError(
            f"{folder / MODEL_FILE} holds {', '.join(sorted(foreign))}, which no pipeline of this project does; it is "
            "not loaded."
        )


def digest_of_files(folder: Path) -> str:
    """SHA-256 over the names and contents of a model's files.

    Raises:
        OSError: a folder or file in it can't be read.
    """
    digest = hashlib.sha256()
    files = (Path(parent, name) for parent, _, names in os.walk(folder, onerror=_fail) for name in names)
    for file in sorted(files):
        name = file.relative_to(folder).as_posix()
        if name not in WRITTEN_ON_DOWNLOAD:
            digest.update(f"{name}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _fail(error: OSError) -> None:
    raise error
