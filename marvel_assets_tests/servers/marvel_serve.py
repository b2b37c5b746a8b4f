"""`marvel serve` over a home, on loopback."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import users_environment
from marvel_assets_tests.pages import free_port
from marvel_assets_tests.servers.starting import wait_until_it_answers


@contextmanager
def marvel_serve(home: ProjectPaths, project: Path) -> Iterator[str]:
    """Its URL, once it answers. It is ended by its process id."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    server = subprocess.Popen(
        [sys.executable, "-c", "from marvel_assets.cli import main; main()", "serve", "--port", str(port)],
        cwd=PROJECT_ROOT,
        env={**users_environment(), "MARVEL_HOME": str(home.root), "MARVEL_CONFIG": str(project)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_it_answers(server, f"{url}/ping", lambda: "`marvel serve`")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=60)
