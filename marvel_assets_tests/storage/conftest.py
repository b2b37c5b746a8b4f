"""Tables in a folder of the test's own."""

from pathlib import Path

import pytest

from marvel_assets.storage.tables import Tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(
        warehouse=str(tmp_path / "warehouse"), locks=str(tmp_path / "locks"), provenance=str(tmp_path / "provenance")
    )
