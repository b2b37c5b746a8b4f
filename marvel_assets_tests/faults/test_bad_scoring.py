"""Tables that can't be scored, cells that mean nothing, and questions that are none, put to the served model."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg
import mlflow
import pandas as pd
import pyarrow as pa
import pytest
import requests
import uvicorn
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.pyfunc import PyFuncModel

from marvel_assets.cli.scoring_server import application
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import failure_of, run_job
from marvel_assets_tests.homes import Templates, copy_of
from marvel_assets_tests.kaggle import EXAMPLE, REQUIRED_COLUMNS
from marvel_assets_tests.pages import free_port

SCHEMA = "marvel_dev.marvel_characters"
TABLE = f"{SCHEMA}.new_characters"
MODEL = f"models:/{SCHEMA}.marvel_character_model_custom/1"
ANSWER = "Survival prediction"


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, small_project: Path, templates: Templates
) -> Iterator[ProjectPaths]:
    """A home in which a model is served, and a table scored; the tests put others in its place."""
    with pytest.MonkeyPatch.context() as environment:
        for name in os.environ:
            if name.startswith(("MARVEL_", "MLFLOW_")):
                environment.delenv(name)
        environment.setenv("MARVEL_CONFIG", str(small_project))
        home = copy_of(templates.after(0.0), tmp_path_factory.mktemp("served") / "home")
        assert score(home, table(character("Anna"), character("Ben"))).success
        yield home


@pytest.fixture(scope="module")
def model(served: ProjectPaths) -> PyFuncModel:
    connect(served.mlflow_uri, served.locks)
    return mlflow.pyfunc.load_model(MODEL)


def character(name: str | None, **cells: Any) -> dict[str, Any]:
    """One as delivered, of whom something is known."""
    known = {"Name": name, "Universe": "Earth-616", "Identity": "Secret", "Gender": "Male", "Origin": "Human"}
    return dict.fromkeys(REQUIRED_COLUMNS, "") | known | {"PageID": name} | cells


def table(*rows: dict[str, Any], **types: pa.DataType) -> pa.Table:
    return pa.Table.from_pylist(
        list(rows), pa.schema([(name, types.get(name, pa.string())) for name in REQUIRED_COLUMNS])
    )


def score(home: ProjectPaths, rows: pa.Table) -> dg.ExecuteInProcessResult:
    folder = home.warehouse.joinpath(*TABLE.split("."))
    shutil.rmtree(folder, ignore_errors=True)
    write_deltalake(folder, rows, configuration={"delta.enableChangeDataFeed": "true"})
    return run_job(home, "score", "score_table", table=TABLE)


def predicted(home: ProjectPaths) -> dict[str, dict[str, Any]]:
    predictions = DeltaTable(home.warehouse.joinpath(*f"{TABLE}_predictions".split(".")))
    return {row["Id"]: row for row in pa.table(predictions.scan()).to_pylist()}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (table(character("A")).drop_columns(["Gender", "Name"]), "column Name, Gender is missing"),
        (table(character("A", Teams=["X"]), Teams=pa.list_(pa.string())), "column Teams (VARCHAR[]), expected text"),
    ],
    ids=["missing", "list"],
)
def test_a_table_that_can_not_be_scored_is_named_with_its_column_and_the_old_predictions_stay(
    served: ProjectPaths, rows: pa.Table, problem: str
):
    # given
    before = predicted(served)

    # when
    result = score(served, rows)

    # then
    assert f"{TABLE}@v0: {problem}" in failure_of(result)
    assert predicted(served) == before


@pytest.mark.parametrize(
    "rows",
    [table(), table(character(None), character("N/A"), character("Anna", Identity="known to a few"))],
    ids=["empty", "without ids, or unusable"],
)
def test_where_no_row_can_be_scored_none_is(served: ProjectPaths, rows: pa.Table):
    # when
    result = score(served, rows)

    # then
    assert result.success, failure_of(result)
    assert predicted(served) == {}


def test_of_an_id_that_stands_there_twice_the_first_is_scored(served: ProjectPaths):
    # given
    rows = [character("Anna", Gender="Female"), character("Anna", Gender="Male"), character("Ben")]
    numbered = table(*rows).append_column("source_row", pa.array([1, 2, 3]))

    # when
    result = score(served, numbered)

    # then
    assert result.success, failure_of(result)
    assert {name: row["Gender"] for name, row in predicted(served).items()} == {"Anna": "Female", "Ben": "Male"}


ODD_CELLS = (
    "x" * 5_000_000,
    "a\0b",
    '=HYPERLINK("http://x")',
    "'; DROP TABLE survival_predictions; --",
    "<script>alert(1)</script>",
    "1e400",
)


def test_each_row_of_odd_cells_gets_the_answer_that_the_model_gives_to_it_alone(
    served: ProjectPaths, model: PyFuncModel
):
    # given: also somebody of whom nothing is known
    rows = [
        character(f"{column} of kind {kind}") | {column: cell}
        for column in ("PageID", "Universe", "Height_m", "Origin", "Teams")
        for kind, cell in enumerate(ODD_CELLS)
    ]
    nobody = dict.fromkeys(REQUIRED_COLUMNS) | {"PageID": "nobody"}

    # when
    result = score(served, table(*rows, nobody))

    # then
    assert result.success, failure_of(result)
    found = predicted(served)
    assert found.keys() == {row["PageID"] for row in (*rows, nobody)}
    for row in found.values():
        assert model.predict(pd.DataFrame([{name: row[name] for name in EXAMPLE}]))[ANSWER] == [row["prediction"]]


NUMBERS = ("Height", "Weight", "Teams", "Magic", "Mutant")
TEXTS = ("Universe", "Identity", "Gender", "Marital_Status", "Origin")
CELLS = {
    **dict.fromkeys(("Height", "Weight"), st.one_of(st.none(), st.floats(), st.integers(-9, 9))),
    **{name: st.one_of(st.none(), st.sampled_from(known)) for name, known in DATASET.known_values.items()},
    **dict.fromkeys(("Universe", "Gender"), st.one_of(st.none(), st.text(max_size=20), st.just("Male"))),
}
"""Of closed lists, but for one in which others count as missing, their own values."""


@settings(max_examples=amount(25, 1000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=8))
def test_any_rows_of_the_right_types_are_answered_in_their_order(model: PyFuncModel, cells: list[dict[str, Any]]):
    # given
    asked = pd.DataFrame(cells).astype({**dict.fromkeys(NUMBERS, float), **dict.fromkeys(TEXTS, object)})

    # when
    answers = model.predict(asked)[ANSWER]

    # then
    assert len(answers) == len(cells)
    assert answers == model.predict(asked.iloc[::-1])[ANSWER][::-1]
    assert set(answers) <= {"alive", "dead"}


@pytest.fixture(scope="module")
def server(served: ProjectPaths) -> Iterator[str]:
    """What `marvel serve` runs in a process of its own."""
    connect(served.mlflow_uri, served.locks)
    server = uvicorn.Server(uvicorn.Config(application(MODEL), port=(port := free_port()), log_level="error"))
    running = Thread(target=server.run, daemon=True)
    running.start()
    while not server.started:
        assert running.is_alive()
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}/invocations"
    server.should_exit = True
    running.join()


PERSON = {name: values[0] for name, values in EXAMPLE.items()}


@pytest.mark.parametrize(
    ("body", "status", "shown"),
    [
        ("{", 400, "valid JSON"),
        ({"rows": []}, 400, "dataframe_records"),
        ({name: cell for name, cell in PERSON.items() if name != "Gender"}, 400, "column Gender is missing"),
        (PERSON | {"Height": "tall"}, 400, "column Height: expected a number, found 'tall'"),
        (PERSON | {"Gender": 7}, 400, "column Gender: expected text, found '7'"),
        ({name: cell for name, cell in PERSON.items() if name != "Height"}, 200, ANSWER),
        (PERSON | {"Universe": None, "Height": 2, "Weight": float("nan"), "Teams": True}, 200, ANSWER),
    ],
    ids=[
        "no JSON", "another key", "a column less", "text for a number", "a number for text", "a measure less",
        "other types",
    ],
)  # fmt: skip
def test_a_question_over_http_is_answered_or_refused_with_the_column_at_fault(
    server: str, body: str | dict[str, Any], status: int, shown: str
):
    # given
    if isinstance(body, dict):
        body = json.dumps(body if "rows" in body else {"dataframe_records": [body]})

    # when
    answer = requests.post(server, data=body, headers={"Content-Type": "application/json"}, timeout=60)

    # then
    assert (answer.status_code, shown in answer.text) == (status, True), answer.text[:1000]
    assert "Traceback" not in answer.text
