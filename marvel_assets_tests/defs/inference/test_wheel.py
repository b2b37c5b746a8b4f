"""The inference wheel: built by uv, once for each content, with what scoring needs and nothing more."""

import shutil
import tomllib
import zipfile
from dataclasses import replace
from email import message_from_string
from pathlib import Path

import dagster as dg
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
    shutil.copytree(
        PROJECT_ROOT / "marvel_assets", tmp_path / "marvel_assets", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copyfile(PROJECT_ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    monkeypatch.setattr("marvel_assets.defs.inference.wheel.PROJECT_ROOT", tmp_path)
    monkeypatch.setattr("marvel_assets.defs.inference.wheel.PACKAGE", tmp_path / "marvel_assets")
    return tmp_path


def build(project: Path) -> WheelRef:
    """The wheel of a copy of the project."""
    return WheelBuilder(folder=str(project / "wheels")).wheel()


def test_the_same_content_is_built_once(folder: Path, wheel: WheelRef, file: Path):
    # given
    written = file.stat().st_mtime_ns

    # when
    again = WheelBuilder(folder=str(folder)).wheel()

    # then
    assert again == wheel
    assert file.stat().st_mtime_ns == written
    assert list(folder.iterdir()) == [file]


@pytest.mark.parametrize("before", ["", "/the/home/before/wheels/"], ids=["now", "in older references"])
def test_it_is_found_in_a_home_that_was_moved(folder: Path, wheel: WheelRef, before: str):
    # given
    moved = WheelBuilder(folder=str(folder.with_name("moved")))

    # then
    assert moved.file_of(replace(wheel, path=before + wheel.path)) == folder.with_name("moved") / wheel.path


def test_it_holds_the_model_package_and_nothing_else(file: Path):
    # when
    names = {name for name in zipfile.ZipFile(file).namelist() if ".dist-info/" not in name}

    # then
    model = {str(file.relative_to(PROJECT_ROOT)) for file in (PROJECT_ROOT / "marvel_assets" / "model").rglob("*.py")}
    files = {name for name in names if not name.endswith("/")}
    assert files == model | {"marvel_assets/__init__.py", "marvel_assets/py.typed"}


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


def test_it_requires_the_base_dependencies_and_neither_dagster_nor_an_engine(file: Path):
    # given
    archive = zipfile.ZipFile(file)
    [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]

    # when
    lines = message_from_string(archive.read(metadata).decode()).get_all("Requires-Dist")
    required = {Requirement(line).name for line in lines}

    # then
    declared = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert required == {Requirement(line).name for line in declared}
    assert required.isdisjoint({"dagster", "duckdb", "deltalake", "pyspark", "databricks-connect"})
    assert not any("extra ==" in line for line in lines)


def test_in_a_copy_elsewhere_what_scoring_does_not_need_does_not_change_the_content(wheel: WheelRef, copied: Path):
    # given
    data_set = "datasets/marvel_kaggle"
    for name in (f"{data_set}/generator.py", f"{data_set}/cleaning.sql", "evaluation/plots.py", "training/search.py"):
        file = copied / "marvel_assets" / name
        file.write_text(file.read_text() + "\n")
    (copied / "marvel_assets" / "model" / "notes.txt").write_text("not a source")

    # then
    assert build(copied).content == wheel.content


def test_a_build_that_takes_too_long_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setattr("marvel_assets.defs.inference.wheel.BUILD_SECONDS", 0.001)

    # then
    with pytest.raises(dg.Failure, match=r"^uv build took more than 0.001 s for marvel_assets-.*\.whl; run again"):
        WheelBuilder(folder=str(tmp_path)).wheel()


@pytest.mark.parametrize("changed", ["a source", "a requirement"])
def test_other_sources_or_requirements_make_a_wheel_under_another_name(wheel: WheelRef, copied: Path, changed: str):
    # given
    wrapper = copied / "marvel_assets" / "model" / "wrapper.py"
    match changed:
        case "a source":
            wrapper.write_text(wrapper.read_text() + "# more\n")
        case "a requirement":
            project = copied / "pyproject.toml"
            project.write_text(project.read_text().replace('  "lightgbm",', '  "lightgbm>=4",', 1))

    # when
    other = build(copied)

    # then
    assert other.content != wheel.content
    assert other.path != wheel.path
