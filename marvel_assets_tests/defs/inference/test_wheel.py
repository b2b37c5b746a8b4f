"""The inference wheel: built by uv, once for each content, with what scoring needs and nothing more."""

import shutil
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import mlflow
import pytest
from packaging.requirements import Requirement
from sklearn.pipeline import Pipeline

from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.model.pipeline import TRUSTED_TYPES
from marvel_assets.model.wrapper import ARTIFACT
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.storage.references import WheelRef
from marvel_assets_tests.commands import python, succeeded

ANSWER_ALONE = """
import sys
import mlflow
import marvel_assets
import pandas as pd
assert marvel_assets.__file__.startswith(sys.argv[1])
example = {"Universe": "Earth-616", "Identity": "Secret", "Gender": "Male", "Marital_Status": None, "Teams": 1,
    "Origin": "Human", "Magic": False, "Mutant": 0}
model = mlflow.pyfunc.load_model(sys.argv[1] + "/custom")
print(model.predict(pd.DataFrame([example]))["Survival prediction"])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


@pytest.fixture(scope="module")
def wheel(folder: Path) -> WheelRef:
    return WheelBuilder(folder=str(folder)).wheel()


@pytest.fixture(scope="module")
def file(folder: Path, wheel: WheelRef) -> Path:
    return WheelBuilder(folder=str(folder)).file_of(wheel)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's sources, to be changed at will, and the ones that wheels are made of."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT_ROOT / "marvel_assets", tmp_path / "marvel_assets", ignore=ignored)
    shutil.copyfile(PROJECT_ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    monkeypatch.setattr("marvel_assets.defs.inference.wheel.PROJECT_ROOT", tmp_path)
    return tmp_path


def test_the_same_content_is_built_once(folder: Path, wheel: WheelRef, file: Path):
    # given
    written = file.stat().st_mtime_ns

    # when
    again = WheelBuilder(folder=str(folder)).wheel()

    # then
    assert again == wheel
    assert file.stat().st_mtime_ns == written
    assert list(folder.iterdir()) == [file]


def test_it_is_found_in_a_home_that_was_moved(folder: Path, wheel: WheelRef):
    # given
    moved = folder.with_name("moved")

    # then
    assert WheelBuilder(folder=str(moved)).file_of(wheel) == moved / wheel.path


def test_it_holds_the_model_package_and_requires_the_base_dependencies_alone(file: Path):
    # when
    archive = zipfile.ZipFile(file)
    files = {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}
    [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    required = message_from_string(archive.read(metadata).decode()).get_all("Requires-Dist")

    # then
    model = {str(file.relative_to(PROJECT_ROOT)) for file in (PROJECT_ROOT / "marvel_assets" / "model").rglob("*.py")}
    assert files == model | {"marvel_assets/__init__.py", "marvel_assets/py.typed"}
    declared = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(map(Requirement, required)) == set(map(Requirement, declared))
    assert {Requirement(line).name for line in declared}.isdisjoint({"dagster", "duckdb", "deltalake", "pyspark"})


@pytest.mark.integration
def test_a_model_is_loaded_and_answers_with_the_wheel_alone(file: Path, fitted: Pipeline, tmp_path: Path):
    # given: the custom model's files, and nothing of the package but what the wheel holds
    mlflow.sklearn.save_model(
        fitted, tmp_path / "basic", serialization_format="skops", skops_trusted_types=list(TRUSTED_TYPES),
        pip_requirements=[],
    )  # fmt: skip
    mlflow.pyfunc.save_model(
        tmp_path / "custom",
        python_model=str(PROJECT_ROOT / "marvel_assets" / "model" / "serving_script.py"),
        artifacts={ARTIFACT: str(tmp_path / "basic")},
        model_config={"answer": "Survival prediction", "labels": ["dead", "alive"]},
        pip_requirements=[],
    )
    zipfile.ZipFile(file).extractall(tmp_path / "installed")

    # when
    done = succeeded(python("-c", ANSWER_ALONE, str(tmp_path), cwd=tmp_path, PYTHONPATH=str(tmp_path / "installed")))

    # then
    assert done.stdout.splitlines()[-1] in ("['alive']", "['dead']")


@pytest.mark.parametrize(
    ("file", "before", "after", "is_same"),
    [
        ("marvel_assets/model/wrapper.py", "\nclass ", "\n# more\nclass ", False),
        ("pyproject.toml", '  "lightgbm",', '  "lightgbm>=4",', False),
        ("marvel_assets/datasets/marvel_kaggle/cleaning.sql", "SELECT", "SELECT /* more */", True),
        ("marvel_assets/evaluation/plots.py", "\ndef ", "\n# more\ndef ", True),
    ],
    ids=["a source", "a requirement", "a statement", "what scoring does not need"],
)
def test_a_change_of_what_scoring_needs_makes_a_wheel_under_another_name(
    wheel: WheelRef, copied: Path, file: str, before: str, after: str, *, is_same: bool
):
    # given
    content = (copied / file).read_text()
    assert before in content
    (copied / file).write_text(content.replace(before, after, 1))

    # when: in a copy elsewhere
    other = WheelBuilder(folder=str(copied / "wheels")).wheel()

    # then
    assert (other.content == wheel.content, other.path == wheel.path) == (is_same, is_same)
