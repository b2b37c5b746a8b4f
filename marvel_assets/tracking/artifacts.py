"""The files of logged models: what is loaded is what was logged."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mlflow

FILES_DIGEST = "files_sha256"
"""Tag of a logged model: the digest of its files as they were logged."""


class ModelFilesChangedError(RuntimeError):
    """A model's files are not the ones that were logged."""


class ModelFilesMissingError(ModelFilesChangedError):
    """There are no files where a model was logged."""


@contextmanager
def checked_files(
    client: mlflow.MlflowClient, model_id: str, uri: str | None = None, digest: str | None = None
) -> Iterator[Path]:
    """A copy of a logged model's files, the same as when it was logged; it is removed afterwards.

    Args:
        client: of the tracking store, which keeps the digest apart from the files.
        model_id: of the logged model.
        uri: where to take the files from, such as a registered version; default: where they were logged.
        digest: of the files as they were logged; default: the logged model's tag.

    Raises:
        ModelFilesChangedError: these are other files, or nothing tells which they should be.
    """
    from marvel_assets.model.safe_loading import digest_of_files

    uri = uri or f"models:/{model_id}"
    recorded = digest or client.get_logged_model(model_id).tags.get(FILES_DIGEST)
    with _downloaded(uri) as folder:
        if not any(folder.iterdir()):
            raise ModelFilesMissingError(
                f"{uri}: its files are missing; they were logged as {model_id}. Put them back, or delete that logged "
                "model and materialise again."
            )
        found = digest_of_files(folder)
        if found != recorded:
            raise ModelFilesChangedError(
                f"{uri}: the files are not those that were logged as {model_id}: SHA-256 {found}, expected "
                f"{recorded or 'the one on its tag ' + FILES_DIGEST + ', which it lacks'}. Nothing of them was "
                f"loaded. Put an earlier pair back with the job rollback, or delete the logged model {model_id} and "
                "materialise again."
            )
        yield folder


def digest_at(uri: str) -> str:
    """The digest of a model's files, wherever they are."""
    from marvel_assets.model.safe_loading import digest_of_files

    with _downloaded(uri) as folder:
        return digest_of_files(folder)


@contextmanager
def _downloaded(uri: str) -> Iterator[Path]:
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        yield Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
