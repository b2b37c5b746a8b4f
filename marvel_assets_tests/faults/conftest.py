"""Marks the fault suite, and makes the undisturbed run that others are compared with."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import succeeded
from marvel_assets_tests.faults.inventory import inventory
from marvel_assets_tests.faults.kills import run
from marvel_assets_tests.homes import made_once


class Undisturbed(NamedTuple):
    """What a run passes that nobody kills, and what its home holds afterwards."""

    boundaries: list[str]
    holds: dict[str, Any]


@pytest.fixture(scope="module")
def config(small_project: Path) -> Iterator[ProjectConfig]:
    """The small project, in the environment of runs whose homes are compared."""
    with _settings_of_whole_runs(small_project):
        yield ProjectConfig.from_yaml(small_project)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, small_project: Path) -> Undisturbed:
    """A whole run, made once for all that is compared with it."""

    def make(folder: Path) -> None:
        home, record = ProjectPaths(folder / "home"), folder / "boundaries"
        with _settings_of_whole_runs(small_project):
            home.prepare()
            succeeded(run(home, record=record))
        found = Undisturbed(record.read_text().splitlines(), inventory(home, ProjectConfig.from_yaml(small_project)))
        (folder / "undisturbed.pickle").write_bytes(pickle.dumps(found))

    made = made_once(tmp_path_factory, "undisturbed", make)
    found: Undisturbed = pickle.loads((made / "undisturbed.pickle").read_bytes())  # noqa: S301 - made above
    return found


@contextmanager
def _settings_of_whole_runs(small_project: Path) -> Iterator[None]:
    """The small project, one commit, and nothing of the machine's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARVEL_CONFIG", str(small_project))
        patch.setenv("MARVEL_GIT_SHA", "0123abc")
        for name in ("MARVEL_SOURCE", "MARVEL_ENV", "MARVEL_PROFILE", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")
