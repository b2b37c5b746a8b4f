"""A source on Kaggle."""

from __future__ import annotations

from pathlib import Path

from marvel_assets.sources.base import SourceError


def download_dataset(handle: str) -> Path:
    """Download the one CSV file of a Kaggle data set (kagglehub keeps it in its own cache).

    Args:
        handle: ``<owner>/<dataset>``.

    Raises:
        SourceError: Kaggle can't be reached or refuses, or the data set has no single CSV file.
    """
    import kagglehub

    try:
        folder = Path(kagglehub.dataset_download(handle))
    except Exception as error:  # kagglehub lets every error of its HTTP stack through
        raise SourceError(
            f"kaggle:{handle}: can't be downloaded ({type(error).__name__}: {error}). Check the network and the "
            "credentials (KAGGLE_API_TOKEN, or ~/.kaggle/kaggle.json), or download the CSV file by hand and set "
            "MARVEL_SOURCE to its path."
        ) from error
    files = sorted(folder.rglob("*.csv"))
    if len(files) != 1:
        raise SourceError(
            f"kaggle:{handle}: expected one CSV file, found {len(files)} in {folder}; set MARVEL_SOURCE to one of them."
        )
    return files[0]


def current_version(handle: str) -> int | None:
    """The number of the data set's newest version, or of the one that the handle asks for.

    Args:
        handle: ``<owner>/<dataset>``, with ``/versions/<number>`` after it or not.

    Returns:
        None where Kaggle names none.

    Raises:
        SourceError: Kaggle can't be reached or refuses.
    """
    from kagglehub.clients import build_kaggle_client
    from kagglehub.handle import parse_dataset_handle
    from kagglesdk.datasets.types.dataset_api_service import ApiGetDatasetRequest

    try:
        wanted = parse_dataset_handle(handle)
        if wanted.is_versioned():
            return int(wanted.version)
        request = ApiGetDatasetRequest()
        request.owner_slug = wanted.owner
        request.dataset_slug = wanted.dataset
        with build_kaggle_client() as client:
            number = client.datasets.dataset_api_client.get_dataset(request).current_version_number
    except Exception as error:  # kagglehub lets every error of its HTTP stack through
        raise SourceError(
            f"kaggle:{handle}: its version can't be asked for ({type(error).__name__}: {error}). Check the name, the "
            "network and the credentials (KAGGLE_API_TOKEN, or ~/.kaggle/kaggle.json)."
        ) from error
    return int(number) if number else None  # kagglesdk gives 0 where the answer has none
