"""Every command of docs/deployment.md works as it stands, each in a new terminal."""

from pathlib import Path

import pytest

from marvel_assets.paths import PROJECT_ROOT
from marvel_assets_tests.documentation.blocks import SECONDS, run_every_block

pytestmark = [
    pytest.mark.integration,
    pytest.mark.spark,
    pytest.mark.slow(reason="runs the graph over a Spark Connect server"),
    pytest.mark.timeout(SECONDS + 500),
]


def test_every_block_works_as_it_stands(checkout: Path, terminal: dict[str, str]):
    # then
    run_every_block([PROJECT_ROOT / "docs" / "deployment.md"], checkout, terminal)
