"""A character gets the same answer in every way that a model can be used."""

import json
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from starlette.testclient import TestClient

from marvel_assets.cli.servers import application
from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.model.pipeline import predict_unique_rows
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import INTERPRETED
from marvel_assets_tests.graph import run_job, succeeded
from marvel_assets_tests.kaggle import EXAMPLE, REQUIRED_COLUMNS, SOURCE_COLUMNS

SCHEMA = "marvel_dev.marvel_characters"
MODEL = f"models:/{SCHEMA}.marvel_character_model_custom@latest-model"
CHARACTERS = 2_000


def scored(home: ProjectPaths) -> pd.DataFrame:
    """The predictions of the job that scores a table, in order of the ids."""
    succeeded(run_job(home, "score", "score_table", table=f"{SCHEMA}.characters"))
    table = DeltaTable(home.warehouse / "marvel_dev" / "marvel_characters" / "characters_predictions")
    return table.to_pandas().sort_values("Id", ignore_index=True)


@pytest.mark.integration
@pytest.mark.spark
@pytest.mark.slow(reason="starts a JVM")
def test_a_character_gets_one_answer_in_batches_in_python_over_http_on_spark_and_from_the_gate(
    materialised: ProjectPaths, spark_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: characters with everything that generated ones have
    delivered = generate(CHARACTERS, 616).drop_duplicates("PageID").rename(columns=SOURCE_COLUMNS)
    rows = pa.Table.from_pandas(delivered[list(REQUIRED_COLUMNS)], preserve_index=False)
    folder = materialised.warehouse / "marvel_dev" / "marvel_characters"
    write_deltalake(folder / "characters", rows, configuration={"delta.enableChangeDataFeed": "true"})
    stored = scored(materialised)
    expected = stored["prediction"].tolist()

    # and requests in which missing cells are missing
    raw = delivered.set_index("PageID").loc[stored["Id"]]
    requested = stored[list(EXAMPLE)].astype(object)
    for name in ("Universe", "Identity", "Gender", "Marital_Status", "Origin"):
        requested[name] = requested[name].where(raw[name].ne("").to_numpy() & raw[name].notna().to_numpy(), None)
    body = {"dataframe_split": json.loads(requested.to_json(orient="split", index=False))}

    # when
    connect(materialised.mlflow_uri, materialised.locks)
    model = mlflow.pyfunc.load_model(MODEL)
    in_python = model.predict(requested)["Survival prediction"]
    pipeline = model.unwrap_python_model().model
    by_the_gate = predict_unique_rows(pipeline, stored[list(pipeline.feature_names_in_)])[:, 1]
    answer = TestClient(application(MODEL)).post("/invocations", json=body).json()
    shutil.rmtree(folder / "characters_predictions")
    materialised.spark.symlink_to(spark_folder, target_is_directory=True)
    monkeypatch.setenv("MARVEL_PROFILE", "spark")
    monkeypatch.setenv("MARVEL_SPARK_SETTINGS", INTERPRETED)
    on_spark = scored(materialised)

    # then
    assert (len(expected) > 0.95 * CHARACTERS, set(expected)) == (True, {"alive", "dead"})
    assert in_python == expected
    assert answer["predictions"]["Survival prediction"] == expected
    answers = ["Id", "display_name", "prediction", "probability"]
    pd.testing.assert_frame_equal(on_spark[answers], stored[answers], check_exact=True)
    assert by_the_gate.tolist() == stored["probability"].tolist()
    assert ["alive" if probability > 0.5 else "dead" for probability in by_the_gate] == expected
