"""`marvel serve` over a home, on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.pages import free_port
from marvel_assets_tests.servers.starting import answers, marvel_server


@contextmanager
def marvel_serve(home: ProjectPaths, project: Path) -> Iterator[str]:
    """Its URL, once it answers."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    settings = {"MARVEL_HOME": str(home.root), "MARVEL_CONFIG": str(project)}
    with marvel_server(partial(answers, f"{url}/ping"), "serve", "--port", str(port), **settings):
        yield url
