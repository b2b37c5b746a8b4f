"""Homes in which the graph has been materialised."""

from pathlib import Path

import pytest

from marvel_assets.home import Home
from marvel_assets_tests.commands import materialize, succeeded


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, small_project: Path) -> Home:
    """The whole graph, materialised by `dagster asset materialize` into a fresh home. To be looked at only."""
    made = Home(tmp_path_factory.mktemp("first-run") / "home")
    made.prepare()
    settings = {"MARVEL_HOME": str(made.root), "MARVEL_CONFIG": str(small_project), "DAGSTER_HOME": str(made.dagster)}
    succeeded(materialize("*", **settings))
    return made


@pytest.fixture
def materialised(home: Home) -> Home:
    """The test's own home, with the whole graph materialised: to be changed at will."""
    succeeded(materialize("*"))
    return home
