"""Tables in a folder for this test alone, and the memory of a container."""

from collections.abc import Callable
from pathlib import Path

import pytest

from marvel_assets.storage import memory
from marvel_assets.storage.tables import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(
        warehouse=str(tmp_path / "warehouse"), locks=str(tmp_path / "locks"), provenance=str(tmp_path / "provenance")
    )


@pytest.fixture
def allow_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Writes the limit and the use of a container where the system would."""

    def allow(limit: object, used: int = 0, cached: int = 0) -> None:
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        (tmp_path / "memory.current").write_text(f"{used}\n")
        (tmp_path / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\nactive_file 1\n")
        monkeypatch.setattr(memory, "CGROUP", tmp_path)

    return allow
