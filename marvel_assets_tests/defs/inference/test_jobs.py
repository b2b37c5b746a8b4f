"""The check of the scoring environment, and what the jobs and commands say where no model is served."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import dagster as dg
import mlflow
import pandas as pd
import pytest

from marvel_assets.defs.inference.assets import predict_in_own_environment
from marvel_assets.defs.inference.wheel import WheelBuilder
from marvel_assets.paths import PROJECT_ROOT, ProjectPaths
from marvel_assets.tracking.signature import requirements_with
from marvel_assets_tests.graph import failure_of, run_job
from marvel_assets_tests.pages import free_port

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


@pytest.mark.slow(reason="installs a scoring environment")
def test_neither_this_project_nor_dagster_can_be_imported_there_and_a_model_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: a model with exactly the custom model's requirements, which fails with what it can import; and a PATH that
    # lacks the Python that this environment was made of
    monkeypatch.setenv("PATH", os.defpath)
    (tmp_path / "probe_model.py").write_text(PROBE)
    builder = WheelBuilder(folder=str(tmp_path))
    wheel = builder.file_of(builder.wheel())
    mlflow.pyfunc.save_model(
        tmp_path / "probe", python_model=str(tmp_path / "probe_model.py"), code_paths=[str(wheel)],
        pip_requirements=requirements_with(wheel), input_example=pd.DataFrame({"any": [1]}),
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


def test_without_a_custom_model_the_job_says_what_to_materialise(home: ProjectPaths):
    # when
    result = run_job(home, "verify_scoring_environment", "verify_environment")

    # then
    assert "has no version under latest-model; materialise custom_model_version first" in failure_of(result)


@pytest.mark.usefixtures("home")
def test_without_a_model_nothing_is_served_and_the_command_says_how_to_make_one(
    marvel_here: Callable[..., CompletedProcess[str]],
):
    # when
    done = marvel_here("serve", "--port", str(free_port()))

    # then
    assert done.returncode == 1
    assert done.stderr == (
        "No model has the alias latest-model yet. `make run` trains one; if the gate refused it, `marvel summary` "
        "says why.\n"
    )
