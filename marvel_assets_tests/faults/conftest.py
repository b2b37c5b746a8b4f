"""Marks the fault suite, and makes the undisturbed run that others are compared with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import succeeded
from marvel_assets_tests.faults.runs import inventory, run
from marvel_assets_tests.homes import made_once

Differences = Callable[[ProjectPaths], list[str]]


@pytest.fixture(scope="module")
def config(small_project: Path) -> Iterator[ProjectConfig]:
    """The small project, in the environment of runs whose homes are compared: one commit, no setting of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARVEL_CONFIG", str(small_project))
        patch.setenv("MARVEL_GIT_SHA", "0123abc")
        for name in ("MARVEL_SOURCE", "MARVEL_ENV", "MARVEL_PROFILE", "MLFLOW_TRACKING_URI"):
            patch.delenv(name, raising=False)
        yield ProjectConfig.from_yaml(small_project)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, config: ProjectConfig) -> Path:  # noqa: ARG001
    """The folder of a whole run that was not killed: its home and the boundaries that it passed."""

    def make(folder: Path) -> None:
        home = ProjectPaths(folder / "home")
        home.prepare()
        succeeded(run(home, record=folder / "boundaries"))

    return made_once(tmp_path_factory, "undisturbed", make)


@pytest.fixture(scope="module")
def differences(undisturbed: Path, config: ProjectConfig) -> Differences:
    """What was lost, doubled or changed in a home, compared with the undisturbed one."""
    expected = inventory(ProjectPaths(undisturbed / "home"), config)

    def compare(home: ProjectPaths) -> list[str]:
        found = inventory(home, config)
        return [
            f"{name}: {found.get(name)!r}, undisturbed {expected.get(name)!r}"
            for name in sorted({*expected, *found})
            if found.get(name) != expected.get(name)
        ]

    return compare


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("faults")
