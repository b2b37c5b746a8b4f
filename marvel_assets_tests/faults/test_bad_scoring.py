"""Tables that can't be scored, odd cells, and bad requests to the served model."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import dagster as dg
import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from marvel_assets.cli.servers import application
from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.faults import amount
from marvel_assets_tests.graph import failure_of, run_job, succeeded
from marvel_assets_tests.kaggle import BINARY_FEATURES, EXAMPLE, NUMERIC_FEATURES, REQUIRED_COLUMNS

TABLE = "marvel_dev.marvel_characters.new_characters"
MODEL = "models:/marvel_dev.marvel_characters.marvel_character_model_custom/1"
ANSWER = "Survival prediction"


@pytest.fixture
def served(given_runs: Callable[..., ProjectPaths]) -> ProjectPaths:
    """A home in which a model is served."""
    home = given_runs(0.0)
    connect(home.mlflow_uri, home.locks)
    return home


def character(name: str | None, **cells: Any) -> dict[str, Any]:
    """A row as it is delivered."""
    known = {"Name": name, "Universe": "Earth-616", "Identity": "Secret", "Gender": "Male", "Origin": "Human"}
    return dict.fromkeys(REQUIRED_COLUMNS, "") | known | {"PageID": name} | cells


def table(*rows: dict[str, Any], **types: pa.DataType) -> pa.Table:
    schema = pa.schema([(name, types.get(name, pa.string())) for name in REQUIRED_COLUMNS])
    numbers = pa.array(range(len(rows)), pa.int64())
    return pa.Table.from_pylist(list(rows), schema).append_column("source_row", numbers)


def score(home: ProjectPaths, rows: pa.Table) -> dg.ExecuteInProcessResult:
    folder = home.warehouse.joinpath(*TABLE.split("."))
    shutil.rmtree(folder, ignore_errors=True)
    write_deltalake(folder, rows, configuration={"delta.enableChangeDataFeed": "true"})
    return run_job(home, "score", "score_table", table=TABLE)


def predicted(home: ProjectPaths) -> dict[str, dict[str, Any]]:
    predictions = DeltaTable(home.warehouse.joinpath(*f"{TABLE}_predictions".split(".")))
    return {row["Id"]: row for row in pa.table(predictions.scan()).to_pylist()}


def test_a_table_that_can_not_be_scored_is_named_with_its_column_and_the_old_predictions_stay(served: ProjectPaths):
    # given
    succeeded(score(served, table(character("Anna"), character("Ben"))))
    before = predicted(served)

    for rows, problem in (
        (table(character("A")).drop_columns(["Gender", "Name"]), "column Name (missing), Gender (missing)"),
        (table(character("A", Teams=["X"]), Teams=pa.list_(pa.string())), "column Teams (VARCHAR[]), expected text"),
    ):
        # when
        result = score(served, rows)

        # then
        assert f"{TABLE}@v0: {problem}" in failure_of(result)
        assert predicted(served) == before


def test_each_usable_id_is_scored_once(served: ProjectPaths):
    # given: rows without an id, an unusable one, and an id that comes twice
    unusable = [character(None), character("N/A"), character("Anna", Identity="known to a few")]
    usable = [character("Anna", Gender="Female"), character("Anna"), character("Ben")]

    for rows, genders in (([], {}), (unusable + usable, {"Anna": "Female", "Ben": "Male"})):
        # when
        succeeded(score(served, table(*rows)))

        # then
        assert {name: row["Gender"] for name, row in predicted(served).items()} == genders


ODD_CELLS = ("x" * 5_000_000, "a\0b", '=HYPERLINK("http://x")', "'; DROP TABLE survival_predictions; --", "1e400")


def test_each_row_of_odd_cells_gets_the_answer_that_the_model_gives_to_it_alone(served: ProjectPaths):
    # given: also a row without any feature
    rows = [
        character(f"{column} of kind {kind}") | {column: cell}
        for column in ("PageID", "Universe", "Height_m", "Origin", "Teams")
        for kind, cell in enumerate(ODD_CELLS)
    ]
    rows.append(dict.fromkeys(REQUIRED_COLUMNS) | {"PageID": "no features"})

    # when
    succeeded(score(served, table(*rows)))

    # then
    found, model = predicted(served), mlflow.pyfunc.load_model(MODEL)
    assert found.keys() == {row["PageID"] for row in rows}
    for row in found.values():
        assert model.predict(pd.DataFrame([{name: row[name] for name in EXAMPLE}]))[ANSWER] == [row["prediction"]]


TYPES = dict.fromkeys(EXAMPLE, object) | dict.fromkeys((*NUMERIC_FEATURES, *BINARY_FEATURES), float)
CELLS = {
    **dict.fromkeys(("Height", "Weight"), st.one_of(st.none(), st.floats(), st.integers(-9, 9))),
    **{name: st.one_of(st.none(), st.sampled_from(known)) for name, known in DATASET.known_values.items()},
    **dict.fromkeys(("Universe", "Gender"), st.one_of(st.none(), st.text(max_size=20), st.just("Male"))),
}
"""Closed lists have their own values; in Gender, other values count as missing."""


@pytest.mark.usefixtures("served")
def test_any_rows_of_the_right_types_are_answered_in_their_order():
    model = mlflow.pyfunc.load_model(MODEL)

    @settings(max_examples=amount(25, 1000))
    @given(cells=st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=8))
    def are_answered(cells: list[dict[str, Any]]) -> None:
        # given
        rows = pd.DataFrame(cells).astype(TYPES)

        # when
        answers = model.predict(rows)[ANSWER]

        # then
        assert len(answers) == len(cells)
        assert answers == model.predict(rows.iloc[::-1])[ANSWER][::-1]
        assert set(answers) <= {"alive", "dead"}

    are_answered()


PERSON = {name: values[0] for name, values in EXAMPLE.items()}


def without(column: str) -> dict[str, Any]:
    return {name: cell for name, cell in PERSON.items() if name != column}


REQUESTS: tuple[tuple[str | dict[str, Any], int, str], ...] = (
    ("{", 400, "valid JSON"),
    ('{"rows": []}', 400, "dataframe_records"),
    (without("Gender"), 400, "column Gender is missing"),
    (PERSON | {"Height": "tall"}, 400, "column Height: expected a number, found 'tall'"),
    (PERSON | {"Gender": 7}, 400, "column Gender: expected text, found '7'"),
    (without("Height"), 200, ANSWER),
    (PERSON | {"Universe": None, "Height": 2, "Weight": float("nan"), "Teams": True}, 200, ANSWER),
)


@pytest.mark.usefixtures("served")
def test_a_request_is_answered_or_refused_with_the_column_at_fault():
    # given: the application that `marvel serve` runs
    client = TestClient(application(MODEL), raise_server_exceptions=False)
    for body, status, shown in REQUESTS:
        # when
        content = body if isinstance(body, str) else json.dumps({"dataframe_records": [body]})
        answer = client.post("/invocations", content=content, headers={"Content-Type": "application/json"})

        # then
        assert (answer.status_code, shown in answer.text) == (status, True), answer.text[:1000]
        assert "Traceback" not in answer.text
