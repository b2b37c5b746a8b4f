"""The rows that are measured on; making them is no part of what is measured."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from marvel_assets.paths import ProjectPaths

MILLION = 1_000_000
SEED = 616


def characters_file(rows: int, seed: int = SEED) -> Path:
    """A CSV of so many generated characters, kept between the benchmarks of one machine.

    More than a million are copies of a million under other ids: the generator holds all of its rows in memory.
    """
    import duckdb

    from marvel_assets.datasets.marvel_kaggle.generator import generate

    kept = Path(tempfile.gettempdir(), f"marvel-bench-{rows}{'' if seed == SEED else f'-{seed}'}.csv")
    if kept.exists():
        return kept
    unfinished = kept.with_suffix(".part")
    if rows <= MILLION:
        generate(rows, seed).to_csv(unfinished, index=False)
    else:
        million = characters_file(MILLION, seed)
        duckdb.sql(
            f"""COPY (SELECT PageID || '-' || copy AS PageID, * EXCLUDE (PageID, copy)
            FROM read_csv('{million}', all_varchar = true, header = true), range({rows // MILLION}) AS copies(copy))
            TO '{unfinished}' (HEADER)"""  # noqa: S608
        )
    unfinished.replace(kept)
    return kept


def training_rows(home: ProjectPaths, features: list[str], copies: int) -> pd.DataFrame:
    """All training rows of a home, several times over."""
    import pandas as pd
    from deltalake import DeltaTable

    from marvel_assets.training.dataset import to_frame

    table = DeltaTable(home.warehouse / "marvel_dev" / "marvel_characters" / "train_set").to_pyarrow_table()
    return pd.concat([to_frame(table, features, "Alive")[features]] * copies, ignore_index=True)
