"""How much memory rows take: whether they fit into this process, and that it is given back."""

from __future__ import annotations

from pathlib import Path

BYTES_PER_CELL = 64
"""Peak of a fit, from the Arrow table over the frame to the encoded matrix, for each cell that is read.

Measured over 12 columns: 69 at 1,000,000 rows, of which a part does not grow, and 48 at 3,000,000.
"""

CGROUP = Path("/sys/fs/cgroup")


class TooManyRowsError(MemoryError):
    """The rows do not fit; the text says how many would."""


def check_fits_in_memory(table: str, rows: int, columns: int) -> None:
    """Refuse to read what would exhaust the memory, instead of dying halfway.

    Args:
        table: named in the error.
        rows: how many are to be read.
        columns: of each row.

    Raises:
        TooManyRowsError: with the share of the rows that would fit.
    """
    available, needed = available_bytes(), rows * columns * BYTES_PER_CELL
    if needed <= available:
        return
    share = available / needed
    raise TooManyRowsError(
        f"{table}: {rows:,} rows of {columns} columns need about {needed / 1e9:,.1f} GB and {available / 1e9:,.1f} GB "
        f"are free. Fit on a sample (fitted_pipeline's setting `sample`, at most {share * 0.9:.2g}), or use a larger "
        "machine."
    )


def available_bytes() -> int:
    """Memory that this process can still take: the less of what the machine and its container leave."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit, used = CGROUP / "memory.max", CGROUP / "memory.current"
    if limit.exists() and (allowed := limit.read_text().strip()).isdigit():
        free = min(free, int(allowed) - int(used.read_text()))
    return max(free, 0)


def release_freed_memory() -> None:
    """Have the C library give back what it keeps of freed memory, so that it does not stand beside the next rows."""
    import ctypes
    import sys

    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):  # glibc's, not musl's
            libc.malloc_trim(0)
