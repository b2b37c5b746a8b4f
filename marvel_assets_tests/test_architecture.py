"""The layout: which module may import which, where columns are named, how large files and folders may be; and types."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from marvel_assets.paths import PROJECT_ROOT
from marvel_assets_tests.kaggle import CHARACTER_COLUMNS, SOURCE_COLUMNS

PACKAGE = PROJECT_ROOT / "marvel_assets"
LAYERS = (
    "cli",
    "definitions",
    "defs",
    "registry",
    "tracking",
    "training",
    "storage",
    "spark",
    "sources",
    "evaluation",
    "config",
    "model",
    "datasets",
    "paths",
    "utils",
)
"""A module imports from its own layer and those below it."""

MAX_LINES = 300
MAX_FILES = 12
COLUMNS = {*SOURCE_COLUMNS, *SOURCE_COLUMNS.values(), *CHARACTER_COLUMNS} - {"update_timestamp_utc"}


def module_of(file: Path) -> str:
    parts = file.relative_to(PROJECT_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports_of(module: str) -> set[str]:
    """The modules of this package that a module imports, in functions and for type checkers too."""
    named = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            named |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return (named & FILES.keys()) - {module, "marvel_assets"}


@pytest.mark.parametrize("module", [name for name in FILES if name != "marvel_assets"])
def test_a_module_imports_downwards_and_no_module_that_imports_it(module: str):
    layer_of = {name: LAYERS.index(name.split(".")[1]) for name in (module, *imports_of(module))}
    upwards = [other for other in imports_of(module) if layer_of[other] < layer_of[module]]
    mutual = [other for other in imports_of(module) if module in imports_of(other)]
    assert (upwards, mutual) == ([], [])


def test_only_data_sets_name_columns():
    named = {
        f"{module}: {node.value}"
        for module, file in FILES.items()
        if not module.startswith("marvel_assets.datasets.")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in COLUMNS
    }
    assert named == set()


def test_files_and_folders_are_small():
    too_long = [module for module, file in FILES.items() if len(file.read_text().splitlines()) > MAX_LINES]
    folders = {file.parent for file in FILES.values()}
    too_full = [folder.name for folder in folders if len(list(folder.glob("*.py"))) > MAX_FILES]
    assert (too_long, too_full) == ([], [])


def test_the_wheel_ships_the_model_alone():
    shipped = [module for module in FILES if module.startswith("marvel_assets.model")]
    needed = {other for module in shipped for other in imports_of(module)}
    assert [module for module in needed if not module.startswith("marvel_assets.model")] == []


def test_mypy_finds_nothing():
    # when: a minute if mypy has no cache yet, in which other tests go on
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)

    # then
    assert done.returncode == 0, done.stdout + done.stderr
