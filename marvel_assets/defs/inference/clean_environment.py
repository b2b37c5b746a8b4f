"""Predicts in an environment that has only a model's own requirements."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marvel_assets.utils.uv_settings import uv_settings

if TYPE_CHECKING:
    import pandas as pd

MINUTES = 10


class CleanEnvironmentError(RuntimeError):
    """The model's environment can't be installed, or it does not predict there; the text ends with the output."""


def predict_in_clean_environment(
    model_uri: str, characters: pd.DataFrame, tracking_uri: str, registry_uri: str | None = None
) -> Any:  # noqa: ANN401
    """Predict with ``mlflow models predict``, which creates an environment from the model's requirements.

    The command runs in an empty folder and without PYTHONPATH, so that neither this project nor its installed packages
    can be imported.

    Args:
        model_uri: such as ``models:/<name>/<version>``, or a folder of verified files.
        characters: the model's input.
        tracking_uri: the model's tracking store.
        registry_uri: of the registry, if it is another store.

    Returns:
        The parsed JSON of the answer.

    Raises:
        CleanEnvironmentError: the command failed, or took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        question, answer = Path(folder, "input.json"), Path(folder, "answer.json")
        question.write_text(
            json.dumps({"dataframe_split": json.loads(characters.to_json(orient="split", index=False))})
        )
        command = [sys.executable, "-m", "mlflow", "models", "predict", "--model-uri", model_uri]
        command += ["--input-path", str(question), "--output-path", str(answer), "--env-manager", "uv"]
        # uv creates environments only from a base Python, which need not be on the PATH.
        folders = [str(Path(sys.executable).parent), str(Path(sys.base_prefix, "bin")), os.environ.get("PATH", "")]
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            **uv_settings(Path(sys.executable), Path(folder, "uv")),
            "MLFLOW_TRACKING_URI": tracking_uri,
            "MLFLOW_REGISTRY_URI": registry_uri or tracking_uri,
            "PATH": os.pathsep.join(folders),
        }
        try:
            done = subprocess.run(  # noqa: S603
                command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=MINUTES * 60
            )
        except subprocess.TimeoutExpired as error:
            raise CleanEnvironmentError(
                f"{model_uri} did not predict in a new environment within {MINUTES} minutes. Is the package index "
                "reachable? Run again; packages that were downloaded are kept."
            ) from error
        if done.returncode != 0 or not answer.exists():
            printed = (done.stdout + done.stderr)[-4000:]
            raise CleanEnvironmentError(
                f"{model_uri} can't be installed from its own requirements, or does not predict there:\n{printed}"
            )
        return json.loads(answer.read_text(encoding="utf-8"))
