"""Types: a minute where mypy has no cache yet, which is why it is a test, beside others."""

import subprocess
import sys

from marvel_assets.paths import PROJECT_ROOT


def test_mypy_finds_nothing():
    # when
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)

    # then
    assert done.returncode == 0, done.stdout + done.stderr
