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
