"""Tables that can't be scored, cells that mean nothing, and questions that are none, put to the served model."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import pandas as pd
import pyarrow as pa
import pytest
import requests
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.pyfunc import PyFuncModel

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets.tracking.signature import example_frame
from marvel_assets_tests.faults.scale import amount
from marvel_assets_tests.graph import failure_of, run_job
from marvel_assets_tests.homes import Templates, copy_of
from marvel_assets_tests.kaggle import EXAMPLE, REQUIRED_COLUMNS
from marvel_assets_tests.servers.marvel_serve import marvel_serve
from marvel_assets_tests.sockets import LOOPBACK, listening

SCHEMA = "marvel_dev.marvel_characters"
TABLE = f"{SCHEMA}.new_characters"
MODEL = f"models:/{SCHEMA}.marvel_character_model_custom/1"
MEGABYTES_10 = 10_000_000
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
        assert score(home, table(*GOOD)).success
        yield home


@pytest.fixture(scope="module")
def model(served: ProjectPaths) -> PyFuncModel:
    connect(f"sqlite:///{served.mlflow_database}", served.locks)
    return mlflow.pyfunc.load_model(MODEL)


def character(name: str | None, **cells: Any) -> dict[str, Any]:
    """One as delivered, of whom something is known."""
    known = {"Name": name, "Universe": "Earth-616", "Identity": "Secret", "Gender": "Male", "Origin": "Human"}
    return dict.fromkeys(REQUIRED_COLUMNS, "") | known | {"PageID": name} | cells


def table(*rows: dict[str, Any], **types: pa.DataType) -> pa.Table:
    names = [*REQUIRED_COLUMNS, *[name for name in types if name not in REQUIRED_COLUMNS]]
    return pa.Table.from_pylist(list(rows), pa.schema([(name, types.get(name, pa.string())) for name in names]))


def score(home: ProjectPaths, rows: pa.Table) -> dg.ExecuteInProcessResult:
    folder = home.warehouse.joinpath(*TABLE.split("."))
    shutil.rmtree(folder, ignore_errors=True)
    write_deltalake(folder, rows, configuration={"delta.enableChangeDataFeed": "true"})
    return run_job(home, "score", "score_table", table=TABLE)


def predictions_sql(home: ProjectPaths) -> DeltaTable:
    return DeltaTable(home.warehouse / "marvel_dev" / "marvel_characters" / "new_characters_predictions")


def predicted(home: ProjectPaths) -> dict[str, dict[str, Any]]:
    return {row["Id"]: row for row in pa.table(predictions_sql(home).scan()).to_pylist()}


GOOD = [character("Anna"), character("Ben", Gender="Female")]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (table(*GOOD).drop_columns(["Gender", "Name"]), "column Name, Gender is missing"),
        (table(character("A", Teams=["X"]), Teams=pa.list_(pa.string())), "column Teams (VARCHAR[]), expected text"),
    ],
    ids=["missing", "list"],
)
def test_a_table_that_can_not_be_scored_is_named_with_its_column_and_the_old_predictions_stay(
    served: ProjectPaths, rows: pa.Table, told: str
):
    # given
    before, version = predicted(served), predictions_sql(served).version()

    # when
    result = score(served, rows)

    # then
    assert f"{TABLE}@v0: {told}" in failure_of(result)
    lost = before.keys() - predicted(served).keys()
    assert (predictions_sql(served).version(), lost) == (version, set())


@pytest.mark.parametrize(
    "rows",
    [
        table(),
        table(character(None), character(""), character("N/A")),
        table(*[character(f"Anna {number}", Identity="known to a few") for number in range(3)]),
    ],
    ids=["empty", "without ids", "unusable"],
)
def test_where_nobody_can_be_scored_nobody_is(served: ProjectPaths, rows: pa.Table):
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


ODD_CELLS = {
    "10 MB": "x" * MEGABYTES_10,
    "NUL": "a\0b",
    "formula": '=HYPERLINK("http://x")',
    "quotes": "'; DROP TABLE survival_predictions; --",
    "markup": "<script>alert(1)</script>",
    "large number": "1e400",
}


@pytest.mark.parametrize("column", ["PageID", "Universe", "Height_m", "Origin", "Teams"][: amount(3, 5)])
def test_odd_cells_are_data(served: ProjectPaths, column: str):
    # given
    rows = [character(f"of the kind {kind}") | {column: cell} for kind, cell in ODD_CELLS.items()]

    # when
    result = score(served, table(*rows, character("Anna")))

    # then
    assert result.success, failure_of(result)
    lost = {row["PageID"] for row in rows} - predicted(served).keys()
    assert lost == set()
    assert {row["prediction"] for row in predicted(served).values()} <= {"alive", "dead"}


def test_where_every_category_is_unknown_and_all_cells_are_missing_there_is_still_an_answer(served: ProjectPaths):
    # given
    unknown = [character(f"Anna {number}", Universe="nowhere", Gender="?", Origin="?") for number in range(50)]
    nothing = [dict.fromkeys(REQUIRED_COLUMNS, None) | {"PageID": f"Ben {number}"} for number in range(50)]

    # when
    result = score(served, table(*unknown, *nothing))

    # then
    assert result.success, failure_of(result)
    assert len(predicted(served)) == 100


CELLS = st.one_of(
    st.none(), st.text(max_size=30), st.sampled_from(["Human", "Earth-616", "1.85", "-0", "Public", "NULL"])
)


@settings(max_examples=amount(3, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.fixed_dictionaries({name: CELLS for name in REQUIRED_COLUMNS if name != "PageID"}), max_size=15)
)
def test_each_row_gets_the_answer_that_the_model_gives_to_it_alone(
    served: ProjectPaths, model: PyFuncModel, cells: list[dict[str, str | None]]
):
    # given
    usable = {"Identity": "Secret", "Marital_Status": "Single"}
    rows = [row | usable | {"PageID": f"Anna {number}"} for number, row in enumerate(cells)]

    # when
    result = score(served, table(*rows))

    # then
    assert result.success, failure_of(result)
    found = predicted(served)
    lost = {row["PageID"] for row in rows} - found.keys()
    assert lost == set()
    for row in found.values():
        asked = pd.DataFrame([{name: row[name] for name in EXAMPLE}])
        assert model.predict(asked)[ANSWER] == [row["prediction"]]


@settings(max_examples=amount(25, 1000), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(
        st.fixed_dictionaries(
            {
                **dict.fromkeys(("Height", "Weight"), st.one_of(st.none(), st.floats())),
                **dict.fromkeys(("Teams", "Magic", "Mutant"), st.one_of(st.floats(), st.integers(-9, 9))),
                **{
                    name: st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["Male", "Human", "Public"]))
                    for name in ("Universe", "Identity", "Gender", "Marital_Status", "Origin")
                },
            }
        ),
        min_size=1,
        max_size=8,
    )
)
def test_any_rows_of_the_right_types_are_answered_in_their_order(model: PyFuncModel, cells: list[dict[str, Any]]):
    # given
    numbers = dict.fromkeys(("Height", "Weight", "Teams", "Magic", "Mutant"), float)
    asked = pd.DataFrame(cells).astype(numbers)
    texts = [name for name in EXAMPLE if name not in numbers]
    asked[texts] = asked[texts].astype(object)

    # when
    answers = model.predict(asked)[ANSWER]

    # then
    backwards = model.predict(asked.iloc[::-1])[ANSWER]
    assert len(answers) == len(cells)
    assert answers == backwards[::-1]
    assert set(answers) <= {"alive", "dead"}


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("Height", ["tall", "small"]),
        ("Height", pd.to_datetime(["2020-01-01", "2021-01-01"])),
        ("Gender", [1, 2]),
        ("Gender", [["Male"], {"a": 1}]),
    ],
)
def test_cells_of_another_type_are_told_with_their_column(model: PyFuncModel, column: str, cells: Any):
    # given
    asked = example_frame(DATASET, list(EXAMPLE)).assign(**{column: cells})

    # then
    with pytest.raises(ValueError, match=f"^column {column}: expected "):
        model.predict(asked)


@pytest.fixture(scope="module")
def server(served: ProjectPaths, small_project: Path) -> Iterator[str]:
    with marvel_serve(served, small_project) as url:
        yield url


def records(**cells: Any) -> dict[str, Any]:
    return {"dataframe_records": [{name: values[0] for name, values in EXAMPLE.items()} | cells]}


def without(name: str) -> dict[str, Any]:
    return {"dataframe_records": [{key: values[0] for key, values in EXAMPLE.items() if key != name}]}


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ("{", 400, "valid JSON"),
        ('{"rows": []}', 400, "dataframe_records"),
        (json.dumps(without("Gender")), 400, "column Gender is missing"),
        (json.dumps(without("Height")), 200, ANSWER),
        (json.dumps(records(Height="tall")), 400, "column Height"),
        (json.dumps(records(Gender=7)), 400, "column Gender: expected text, found '7'"),
        (json.dumps(records(Universe=None, Height=2, Weight=float("nan"), Teams=True)), 200, ANSWER),
    ],
    ids=[
        "no JSON",
        "another key",
        "a column less",
        "a measure less",
        "text for a number",
        "a number for text",
        "other types",
    ],
)
def test_a_question_over_http_is_answered_or_refused_with_the_column_at_fault(
    server: str, body: str, status: int, told: str
):
    # when
    answer = requests.post(f"{server}/invocations", data=body, headers={"Content-Type": "application/json"}, timeout=60)

    # then
    assert (answer.status_code, told in answer.text) == (status, True), answer.text[:1000]
    assert "Traceback" not in answer.text


def test_the_model_is_reached_from_this_machine_alone(server: str):
    # then
    assert server
    assert "127.0.0.1" in listening()
    assert listening() <= LOOPBACK
