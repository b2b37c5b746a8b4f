"""Dagster's and MLflow's pages as `marvel ui` serves them, over a home of the test's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.servers.starting import answers, free_port, marvel_server


class Pages(NamedTuple):
    """Where the pages are."""

    dagster: str
    mlflow: str


@contextmanager
def served(home: ProjectPaths, **environment: str) -> Iterator[Pages]:
    """Where the pages of `marvel ui` are, once they answer."""
    ports = str(free_port()), str(free_port())
    pages = Pages(*(f"http://127.0.0.1:{port}" for port in ports))
    command = ("ui", "--port", ports[0], "--mlflow-port", ports[1])
    settings = {"MARVEL_HOME": str(home.root), **environment}
    with marvel_server(lambda: all(map(answers, pages)), *command, **settings):
        yield pages
