"""A reader with a terminal in a fresh checkout."""

import os
import sys
from pathlib import Path

import pytest
import yaml

from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets_tests.commands import INTERPRETED
from marvel_assets_tests.planted import spoilt_characters


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder that looks like this checkout, for what a reader puts there, such as a source."""
    made_by = [sys.version, str(PROJECT_ROOT)]
    stamp = PROJECT_ROOT / ".venv" / "installed.json"
    if not (stamp.exists() and yaml.safe_load(stamp.read_text()).get("made_by") == made_by):
        pytest.skip("make did not make this environment, and would do so now")
    folder = tmp_path / "checkout"
    folder.mkdir()
    for entry in PROJECT_ROOT.iterdir():
        if entry.name not in (".git", ".marvel", ".cache"):
            (folder / entry.name).symlink_to(entry)
    spoilt_characters(tmp_path, 0).replace(folder / "characters.csv")
    return folder


@pytest.fixture
def terminal(tmp_path: Path, small_project: Path, spark_folder: Path) -> dict[str, str]:
    """The variables of a user who has opened a terminal, over a fresh home in which every model passes the gate."""
    content = yaml.safe_load(small_project.read_text())
    content["gate"]["mode"] = "report"
    project = tmp_path / "project.yml"
    project.write_text(yaml.safe_dump(content))
    home = ProjectPaths(tmp_path / "home")
    home.root.mkdir()
    home.spark.symlink_to(spark_folder, target_is_directory=True)
    (tmp_path / "servers").touch()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "MARVEL_", "DAGSTER_", "VIRTUAL_ENV"))
    }
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if Path(folder) != Path(sys.executable).parent]
    return {
        **inherited,
        "PATH": os.pathsep.join(path),
        "PYTHON": str(Path(sys.executable).resolve()),
        "MARVEL_HOME": str(home.root),
        "MARVEL_CONFIG": str(project),
        "MARVEL_SPARK_SETTINGS": INTERPRETED,
        "SERVERS": str(tmp_path / "servers"),
    }
