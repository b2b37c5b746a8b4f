"""`marvel serve`: the custom model behind HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.kaggle import EXAMPLE
from marvel_assets_tests.servers.marvel_serve import marvel_serve

pytestmark = pytest.mark.integration


@pytest.fixture
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
