"""Characters to deliver."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from marvel_assets.sources.base import Source
from marvel_assets_tests.kaggle import SOURCE_COLUMNS

CONTENT = b"PageID,Name\n1,Anna\n" * 1000


def characters(*names: str) -> pd.DataFrame:
    """One row for each name, with the columns as delivered."""
    return pd.DataFrame([{column: name if column == "Name" else column for column in SOURCE_COLUMNS} for name in names])


def rows_of(source: Source) -> pd.DataFrame:
    return pa.Table.from_batches(source.batches()).to_pandas()


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    """A new folder with these files."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder
