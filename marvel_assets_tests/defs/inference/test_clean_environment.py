"""What can be imported where a custom model predicts."""

import json
import os
import re
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from marvel_assets.defs.inference import clean_environment
from marvel_assets.defs.inference.clean_environment import CleanEnvironmentError, predict_in_clean_environment
from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.requirements import requirements_with

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


def log(folder: Path, script: str, requirements: list[str], code_paths: list[str]) -> str:
    path = folder / "probe_model.py"
    path.write_text(script)
    mlflow.set_experiment("probe")
    return str(
        mlflow.pyfunc.log_model(
            name="probe", python_model=str(path), code_paths=code_paths, pip_requirements=requirements
        ).model_uri
    )


def test_a_model_that_takes_too_long_is_named(home: ProjectPaths, monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setattr(clean_environment, "MINUTES", 0.001)

    # then
    with pytest.raises(CleanEnvironmentError, match=r"^models:/m-616 did not predict in .* within 0.001 minutes"):
        predict_in_clean_environment("models:/m-616", pd.DataFrame({"any": [1]}), home.mlflow_uri)


@pytest.mark.slow(reason="installs a scoring environment")
def test_neither_this_project_nor_dagster_can_be_imported_there_and_a_model_that_fails_says_why(
    home: ProjectPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: a model with exactly the custom model's requirements, which fails with what it can import; and a PATH that
    # lacks the Python that this environment was made of
    monkeypatch.setenv("PATH", os.defpath)
    connect(home.mlflow_uri, home.locks).create_experiment("probe", home.mlflow_artifacts.as_uri())
    builder = WheelBuilder(folder=str(home.wheels))
    wheel = builder.file_of(builder.wheel())
    uri = log(tmp_path, PROBE, requirements_with(wheel), [str(wheel)])

    # when
    with pytest.raises(
        CleanEnvironmentError, match="can't be installed from its own requirements, or does not predict"
    ) as raised:
        predict_in_clean_environment(uri, pd.DataFrame({"any": [1]}), home.mlflow_uri)

    # then
    [found] = re.findall(r"^RuntimeError: found (.+)$", str(raised.value), re.MULTILINE)
    there, package = json.loads(found)
    assert there == []
    assert "site-packages" in package
    assert not package.startswith(str(PROJECT_ROOT))
