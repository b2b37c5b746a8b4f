"""Checks whether rows fit into memory."""

from pathlib import Path

BYTES_PER_CELL = 64
"""Peak memory of a fit per cell read, as measured: the Arrow table, the data frame and the encoded matrix."""

CGROUP = Path("/sys/fs/cgroup")


def check_fits_in_memory(table: str, rows: int, columns: int) -> None:
    """Raise a MemoryError, with the share of the rows that would fit, for a read that would exhaust the memory."""
    available, needed = available_bytes(), rows * columns * BYTES_PER_CELL
    if needed > available:
        raise MemoryError(
            f"{table}: {rows:,} rows of {columns} columns need about {needed / 1e9:,.1f} GB and "
            f"{available / 1e9:,.1f} GB are free. Fit on a sample (fitted_pipeline's setting `sample`, at most "
            f"{available / needed * 0.9:.2g}), or use a larger machine."
        )


def available_bytes() -> int:
    """Memory that this process can still use: the smaller of what the machine and its container have free.

    A container counts the cache of files as used, which the system gives up when memory is needed.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = CGROUP / "memory.max"
    if limit.exists() and (allowed := limit.read_text().strip()).isdigit():
        cached = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())["inactive_file"]
        free = min(free, int(allowed) - int((CGROUP / "memory.current").read_text()) + int(cached))
    return max(free, 0)
