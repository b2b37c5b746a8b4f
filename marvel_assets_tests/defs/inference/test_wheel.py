"""The inference wheel: built by uv, once for each content, with what scoring needs and nothing more."""

import json
import os
import re
import shutil
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import dagster as dg
import mlflow
import pandas as pd
import pytest
from packaging.requirements import Requirement

from marvel_assets.defs.inference.assets import predict_in_own_environment
from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.storage.references import WheelRef
from marvel_assets.tracking.signature import requirements_with
from marvel_assets_tests.commands import python, succeeded

ANSWER_ALONE = """
import sys
import mlflow
import marvel_assets
import pandas as pd
assert marvel_assets.__file__.startswith(sys.argv[1])
example = {"Universe": "Earth-616", "Identity": "Secret", "Gender": "Male", "Marital_Status": None, "Teams": 1,
    "Origin": "Human", "Magic": False, "Mutant": 0}
model = mlflow.pyfunc.load_model(sys.argv[2])
print(model.predict(pd.DataFrame([example]))["Survival prediction"])
"""


PROBE = """
import importlib.util, json
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

class Probe(PythonModel):
    def predict(self, context, model_input, params=None):
        import marvel_assets
        names = ("dagster", "duckdb", "pyspark", "marvel_assets.defs")
        there = [name for name in names if importlib.util.find_spec(name) is not None]
        raise RuntimeError("found " + json.dumps([there, marvel_assets.__file__]))

set_model(Probe())
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


def test_the_same_content_is_built_once_and_found_in_a_home_that_was_moved(folder: Path, wheel: WheelRef, file: Path):
    # given
    written, moved = file.stat().st_mtime_ns, folder.with_name("moved")

    # then
    assert WheelBuilder(folder=str(folder)).wheel() == wheel
    assert file.stat().st_mtime_ns == written
    assert list(folder.iterdir()) == [file]
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
def test_a_model_is_loaded_and_answers_with_the_wheel_alone(file: Path, first_run: ProjectPaths, tmp_path: Path):
    # given: the custom model's files, and nothing of the package but what the wheel holds
    [script] = first_run.mlflow_artifacts.rglob("serving_script.py")
    zipfile.ZipFile(file).extractall(tmp_path)

    # when
    done = succeeded(
        python("-c", ANSWER_ALONE, str(tmp_path), str(script.parent), cwd=tmp_path, PYTHONPATH=str(tmp_path))
    )

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


@pytest.mark.slow(reason="installs a scoring environment")
def test_neither_this_project_nor_dagster_can_be_imported_where_it_is_installed_and_a_model_that_fails_says_why(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: a model with exactly the custom model's requirements, which fails with what it can import; and a PATH that
    # lacks the Python that this environment was made of
    monkeypatch.setenv("PATH", os.defpath)
    (tmp_path / "probe_model.py").write_text(PROBE)
    mlflow.pyfunc.save_model(
        tmp_path / "probe", python_model=str(tmp_path / "probe_model.py"), code_paths=[str(file)],
        pip_requirements=requirements_with(file), input_example=pd.DataFrame({"any": [1]}),
    )  # fmt: skip

    # when
    with pytest.raises(dg.Failure, match="can't be installed from its own requirements, or does not") as raised:
        predict_in_own_environment(tmp_path / "probe")

    # then
    [found] = re.findall(r"^RuntimeError: found (.+)$", str(raised.value), re.MULTILINE)
    there, package = json.loads(found)
    assert there == []
    assert "site-packages" in package
    assert not package.startswith(str(PROJECT_ROOT))
