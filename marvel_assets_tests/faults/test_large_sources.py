"""More rows than memory holds: they pass through it, in a process of their own whose peak is measured."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets_tests.faults.scale import amount

MEGABYTES, MOST_MEMORY_MB = amount((400, 1_500), (5_000, 3_000))
"""Python with its libraries, what Arrow reads ahead, what delta-rs collects before it writes, and DuckDB's 256 MB.

Kept in memory whole, 600 MB take 2,800 MB, and the 400 MB of the sample in proportion 1,850 MB; 300 MB pass with 970.
"""

PROGRAM = """
import json, resource, sys
from pathlib import Path
from marvel_assets.config import Generator
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.storage.engines.duckdb import DuckDBEngine
from marvel_assets.storage.tables import Tables
from marvel_assets.sources.locate import locate
from marvel_assets_tests.kaggle import digested_source_sql

file, home = sys.argv[1], Path(sys.argv[2])
engine = DuckDBEngine(scratch=str(home / "scratch"), memory_limit="256MB")
tables = Tables(warehouse=str(home / "warehouse"), locks=str(home / "locks"), provenance=str(home / "provenance"))
with engine.session() as session:
    session.read_source(locate(file, home, DATASET, Generator()), "delivered")
    session.create_view(digested_source_sql("delivered"), "raw_characters")
    rows = tables.write_if_changed(session, "raw_characters", "c.s.raw", {}).commit.table.rows
print(json.dumps([rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000]))
"""


def write_characters(file: Path, megabytes: int) -> int:
    """Characters by the million, each with an id of its own; how many."""
    some = generate(92_000, 1)
    some["PageID"] = "@@@@@@" + some["PageID"]
    body = some.to_csv(index=False, header=False).encode()
    with file.open("wb") as target:
        target.write(",".join(some.columns).encode() + b"\n")
        rounds = 0
        while target.tell() < megabytes * 1_000_000:
            target.write(body.replace(b"@@@@@@", b"%06d" % rounds))
            rounds += 1
    return rounds * len(some)


@pytest.mark.timeout(7_200)
@pytest.mark.slow(reason="writes and reads 400 MB")
def test_a_source_beyond_the_memory_passes_through_it(tmp_path: Path):
    # given
    file = tmp_path / "characters.csv"
    if shutil.disk_usage(tmp_path).free < 4 * MEGABYTES * 1_000_000:
        pytest.skip(f"needs {4 * MEGABYTES} MB of disk")
    written = write_characters(file, MEGABYTES)

    # when
    try:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(file), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=7_000,
        )
    finally:
        file.unlink()

    # then
    assert done.returncode == 0, done.stderr[-3_000:]
    rows, peak = json.loads(done.stdout.splitlines()[-1])
    print(f"{MEGABYTES:,} MB of {written:,} rows: peak {peak:,} MB")  # noqa: T201 - shown with -s
    lost = abs(written - rows)
    assert lost == 0
    assert peak < MOST_MEMORY_MB
