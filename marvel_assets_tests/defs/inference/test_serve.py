"""`marvel serve`: the custom model behind HTTP."""

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import requests

from marvel_assets.cli.servers import curl_command
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.signature import example_frame
from marvel_assets_tests.kaggle import EXAMPLE
from marvel_assets_tests.servers.starting import LOOPBACK, free_port, listening_addresses, marvel_serve

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(first_run: ProjectPaths, small_project: Path) -> Iterator[str]:
    with marvel_serve(first_run, small_project) as url:
        yield url


def test_it_answers_in_words_and_says_why_where_it_is_asked(server: str):
    # given
    characters = [{name: values[row] for name, values in EXAMPLE.items()} for row in range(2)]

    # when
    plain, explained = (
        requests.post(f"{server}/invocations", json={"dataframe_records": characters} | more, timeout=30).json()
        for more in ({}, {"params": {"explain": True}})
    )

    # then
    predicted = plain["predictions"]["Survival prediction"]
    assert len(predicted) == 2
    assert set(predicted) <= {"alive", "dead"}
    assert set(plain["predictions"]) == {"Survival prediction"}
    assert explained["predictions"]["Survival prediction"] == predicted
    assert [set(each) for each in explained["predictions"]["contributions"]] == [set(EXAMPLE)] * 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="the command is curl's")
def test_the_command_that_is_shown_asks_it(server: str):
    # given
    example = example_frame(DATASET, list(EXAMPLE))

    # when
    command = shlex.split(curl_command(example, f"{server}/invocations"))
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout

    # then
    assert json.loads(shown)["predictions"].keys() == {"Survival prediction"}


def test_it_is_reached_from_this_machine_alone(server: str):
    # then
    assert server
    assert "127.0.0.1" in listening_addresses()
    assert listening_addresses() <= LOOPBACK


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
