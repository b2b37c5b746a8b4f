"""Every command of README.md, docs/serving.md and docs/lecture4.md works as it stands, each in a new terminal."""

import shutil
from pathlib import Path

import pytest

from marvel_assets.paths import PROJECT_ROOT
from marvel_assets_tests.documentation.blocks import SECONDS, run_every_block

pytestmark = [
    pytest.mark.integration,
    pytest.mark.spark,
    pytest.mark.slow(reason="runs every command of a document, one of which makes a scoring environment"),
    pytest.mark.timeout(SECONDS + 500),
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="README.md asks the model with curl")
def test_every_block_works_as_it_stands(checkout: Path, terminal: dict[str, str]):
    # then
    run_every_block(
        [PROJECT_ROOT / name for name in ("README.md", "docs/serving.md", "docs/lecture4.md")], checkout, terminal
    )
