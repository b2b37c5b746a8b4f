"""What makes an asset stale, and what doesn't: shown by changes to a copy of the package."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from marvel_assets.definitions import defs
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.utils import code_versions
from marvel_assets.utils.code_versions import code_version, sql_version
from marvel_assets_tests.commands import python, succeeded

Change = Callable[[str, str, str], None]

ALL = """
import json
from marvel_assets.definitions import defs
print(json.dumps({spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project."""
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("marvel_assets", "config"):
        shutil.copytree(PROJECT_ROOT / part, tmp_path / part, ignore=ignored)
    shutil.copyfile(PROJECT_ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    return tmp_path


@pytest.fixture
def change(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Change:
    """Replaces a text in a file of the copy, which versions are taken from then."""
    monkeypatch.setattr(code_versions, "ROOT", copy)

    def replace(file: str, before: str, after: str) -> None:
        path = copy / "marvel_assets" / file
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))
        code_versions._read.cache_clear()

    return replace


def test_a_change_in_what_a_function_imports_counts(change: Change):
    # given
    before = code_version("marvel_assets.model.safe_loading")

    # when: loading imports it in a function
    change("model/pipeline.py", "DEDUPLICATE_FROM = 256", "DEDUPLICATE_FROM = 257")

    # then
    assert code_version("marvel_assets.model.safe_loading") != before


@pytest.mark.parametrize(
    ("module", "file", "before", "after"),
    [
        ("model.pipeline", "model/coercion.py", '"""The pipeline', '"""This pipeline'),
        ("model.pipeline", "model/coercion.py", '"""Learn the columns', '"""Learns the columns'),
        ("model.pipeline", "model/coercion.py", "import Decimal\n", "import Decimal  # exact\n"),
        ("model.pipeline", "model/coercion.py", "import Decimal\n", "import Decimal\n\n\n"),
        ("training.fit", "config.py", 'DEFAULT_DATASET = "marvel_kaggle"', 'DEFAULT_DATASET = "another"'),
    ],
    ids=["the module's docstring", "a function's docstring", "a comment", "blank lines", "imported for type checkers"],
)
def test_what_changes_no_result_does_not_count(change: Change, module: str, file: str, before: str, after: str):
    # given
    version = code_version(f"marvel_assets.{module}")

    # when
    change(file, before, after)

    # then
    assert code_version(f"marvel_assets.{module}") == version


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ("FROM cells\n", "FROM\n    cells\n", False),
        ("'%human%'", "'%humane%'", True),
        ("'alive or  dead'", "'alive or dead'", True),
    ],
    ids=["another layout", "a rule", "blanks in a text"],
)
def test_of_the_sql_what_is_run_counts(before: str, after: str, *, counts: bool):
    # given
    statement = "SELECT 'alive or  dead' FROM cells\nWHERE Origin LIKE '%human%'"

    # then
    assert (sql_version(statement) != sql_version(statement.replace(before, after))) == counts


@pytest.mark.integration
def test_a_change_makes_stale_what_depends_on_it_and_words_about_the_code_nothing(copy: Path, change: Change):
    # when: plots, a cleaning rule and the generator
    change("evaluation/plots.py", "def to_png(", "UNUSED = 1\n\n\ndef to_png(")
    change("datasets/marvel_kaggle/cleaning.sql", "'%human%'", "'%humane%'")
    change("datasets/marvel_kaggle/generator.py", "def generate(", "UNUSED = 1\n\n\ndef generate(")
    # and words
    change("model/encoder.py", "Replaces the values of", "Replaces all values of")
    change("datasets/marvel_kaggle/__init__.py", "about 92,600 of them", "some 92,600 of them")
    change("datasets/marvel_kaggle/__init__.py", "Height in metres; missing", "Height in metres, missing")
    change("datasets/marvel_kaggle/cleaning.sql", "-- The first match wins", "-- The first that matches wins")

    # then: no fit, unless a classifier is another one
    here = {spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}
    changed = json.loads(succeeded(python("-c", ALL, cwd=copy, PYTHONPATH=str(copy))).stdout)
    assert {name for name, version in here.items() if changed[name] != version} == {
        *("basic_model", "drift_report", "train_set", "test_set", "rejected_characters", "survival_predictions")
    }
    change("model/estimators/lightgbm.py", '"deterministic": True', '"deterministic": False')
    changed = json.loads(succeeded(python("-c", ALL, cwd=copy, PYTHONPATH=str(copy))).stdout)
    assert changed["fitted_pipeline"] != here["fitted_pipeline"]
