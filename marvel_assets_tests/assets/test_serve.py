"""`marvel serve`: the custom model behind HTTP."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from marvel_assets.home import PROJECT_ROOT, Home
from marvel_assets.survival.signature import EXAMPLE
from marvel_assets_tests.commands import marvel
from marvel_assets_tests.pages import free_port

SECONDS = 120


@pytest.fixture
def server(first_run: Home, small_project: Path) -> Iterator[str]:
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    process = subprocess.Popen(
        [sys.executable, "-c", "from marvel_assets.cli import main; main()", "serve", "--port", str(port)],
        cwd=PROJECT_ROOT,
        env={**inherited, "MARVEL_HOME": str(first_run.root), "MARVEL_CONFIG": str(small_project)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, f"`marvel serve` ended with exit code {process.returncode}"
            try:
                requests.get(f"http://127.0.0.1:{port}/ping", timeout=5).raise_for_status()
                break
            except requests.RequestException:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_it_answers_in_words(server: str):
    # given
    characters = [{name: values[row] for name, values in EXAMPLE.items()} for row in range(2)]

    # when
    answer = requests.post(f"{server}/invocations", json={"dataframe_records": characters}, timeout=30).json()

    # then
    predicted = answer["predictions"]["Survival prediction"]
    assert len(predicted) == 2
    assert set(predicted) <= {"alive", "dead"}


@pytest.mark.usefixtures("home")
def test_without_a_model_it_says_how_to_make_one():
    # when
    done = marvel("serve")

    # then
    assert done.returncode == 1
    assert done.stderr == "Nothing is under latest-model yet. Materialise the graph with `make run` first.\n"
