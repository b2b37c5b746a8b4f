"""`marvel score` and `marvel explain`, called in this process over a home that they leave as it is."""

import io
import sys
from collections.abc import Callable, Iterator
from hashlib import md5
from pathlib import Path
from subprocess import CompletedProcess
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from marvel_assets.datasets.marvel_kaggle import DATASET
from marvel_assets.paths import ProjectPaths

pytestmark = pytest.mark.integration

Command = Callable[..., CompletedProcess[str]]

NEW = """PageID,Name,Universe,Identity,Gender,Marital Status,Teams,Height (m),Weight (kg),Origin
anna,Anna,Earth-616,Secret,Female,Single,,1.7,,Mutant
ben,Ben,Earth-616,known to a few,Male,Single,,,,Human
"""
"""Without the columns that decide no answer: Alive among them."""


def contents_of(folder: Path) -> dict[str, str]:
    return {str(file): md5(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def ran(materialised: ProjectPaths) -> Iterator[ProjectPaths]:
    """The test's home after `marvel run`, which must be afterwards what it was before."""
    before = contents_of(materialised.root)
    yield materialised
    assert contents_of(materialised.root) == before


def table(home: ProjectPaths, name: str) -> pd.DataFrame:
    delta = DeltaTable(home.warehouse / "marvel_dev" / "marvel_characters" / name)
    frame: pd.DataFrame = pa.table(delta.scan()).to_pandas()
    return frame


def test_a_file_gets_the_answers_of_the_table_of_predictions(ran: ProjectPaths, tmp_path: Path, marvel_here: Command):
    # given: what was read, as a file
    source, target = tmp_path / "new.parquet", tmp_path / "out.parquet"
    table(ran, "raw_characters").sort_values("source_row").rename(columns=DATASET.delivered_names).to_parquet(source)

    # when
    done = marvel_here("score", str(source), "-o", str(target))

    # then
    assert done.returncode == 0
    answers, predictions = pd.read_parquet(target), table(ran, "survival_predictions")
    scored = answers[answers["reason"].isna()]
    assert dict(zip(scored["id"], scored["prediction"], strict=True)) == dict(
        zip(predictions["Id"], predictions["prediction"], strict=True)
    )
    assert ((scored["probability"] > 0.5) == (scored["prediction"] == "alive")).all()
    assert len(answers) == 1500
    assert answers[answers["reason"].notna()][["prediction", "probability", "why"]].isna().all(axis=None)


@pytest.mark.usefixtures("ran")
def test_rows_come_through_standard_input_and_output_and_those_that_can_not_be_scored_have_a_reason(
    monkeypatch: pytest.MonkeyPatch, marvel_here: Command
):
    # given
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(NEW.encode())))

    # when
    done = marvel_here("score", "-")

    # then
    anna, ben = pd.read_csv(io.StringIO(done.stdout)).to_dict("records")
    assert done.returncode == 0
    assert (anna["name"], anna["id"], anna["prediction"]) == ("Anna", "anna", "alive")
    assert anna["why"].count("(") == 3
    assert ben["reason"].startswith('Identity is "known to a few"')
    assert "Rows scored: 1, 1 can't be; the column `reason` says why" in done.stderr


@pytest.mark.usefixtures("ran")
@pytest.mark.parametrize(
    ("rows", "target", "message"),
    [
        (NEW, "new.csv", "-o new.csv: is the file to score; choose another name."),
        (NEW, "new.csv/out.csv", "new.csv: File exists."),
        (NEW.replace("Gender", "Sex"), "out.csv", "new.csv: there is no column 'Gender'; expected the columns "),
    ],
)
def test_what_can_not_be_read_or_written_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marvel_here: Command, rows: str, target: str, message: str
):
    # given
    (folder := tmp_path / "files").mkdir()
    monkeypatch.chdir(folder)
    Path("new.csv").write_text(rows)

    # when
    done = marvel_here("score", "new.csv", "-o", target)

    # then
    assert (done.returncode, message in done.stderr, "Traceback" in done.stderr, done.stdout) == (1, True, False, "")
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"new.csv": rows}


def test_a_character_is_explained_by_its_name_or_its_id(ran: ProjectPaths, tmp_path: Path, marvel_here: Command):
    # given
    picture = tmp_path / "why.png"
    predictions = table(ran, "survival_predictions")
    raw = table(ran, "raw_characters").drop_duplicates("Name", keep=False)
    [chosen] = raw[raw["PageID"].isin(predictions["Id"])].head(1).itertuples()

    # when
    by_name = marvel_here("explain", chosen.Name.upper(), "-o", str(picture)).stdout
    by_id = marvel_here("explain", chosen.PageID).stdout

    # then
    assert by_id == by_name
    [prediction] = predictions[predictions["Id"] == chosen.PageID]["prediction"]
    assert by_name.startswith(f"{chosen.Name} ({chosen.PageID}): {prediction}, P(alive) 0.")
    assert picture.read_bytes().startswith(b"\x89PNG")
    amounts = [abs(float(line.split()[-2])) for line in by_name.splitlines() if line.endswith("#")]
    assert amounts == sorted(amounts, reverse=True)
    assert len(amounts) > 3


def test_of_several_characters_under_one_name_the_ids_are_listed_and_of_none_the_similar_ones(
    ran: ProjectPaths, marvel_here: Command
):
    # given
    raw = table(ran, "raw_characters").dropna(subset=["PageID", "Name"]).drop_duplicates("PageID")
    name, ids = next((name, ids) for name, ids in raw.groupby("Name")["PageID"] if len(ids) > 1)

    # when
    several = marvel_here("explain", str(name)).stderr
    none = marvel_here("explain", str(name)[1:]).stderr
    nothing_like_it = marvel_here("explain", "Uatu, who only watches").stderr

    # then
    assert several.splitlines() == [
        f"{len(ids)} rows have the name or id {name!r}; choose one by its id, such as",
        *(f"  {identifier}  ({name})" for identifier in sorted(ids)),
    ]
    assert none.startswith(f"No rows have the name or id {str(name)[1:]!r}; choose one by its id, such as\n  ")
    assert min(ids) in none
    assert nothing_like_it.rstrip().endswith("'Uatu, who only watches'.")
