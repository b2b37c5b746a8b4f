"""What a run prints at the terminal."""

from pathlib import Path

import pytest

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import marvel

pytestmark = pytest.mark.integration


def test_a_failure_is_one_line_that_names_the_cause(home: ProjectPaths, tmp_path: Path):
    # given
    nothing = tmp_path / "nothing.csv"

    # when
    done = marvel("run", MARVEL_SOURCE=str(nothing))

    # then
    assert done.returncode != 0
    failures = [line for line in done.stdout.splitlines() if "failed" in line]
    assert len(failures) == 1
    assert f"failed: {nothing}: no such file" in failures[0]
    assert "Traceback" not in done.stdout
    assert not home.warehouse.exists()
