"""The rows that are measured on; making them is no part of what is measured."""

from __future__ import annotations

import tempfile
from pathlib import Path

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
