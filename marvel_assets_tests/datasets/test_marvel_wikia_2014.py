"""FiveThirtyEight's table: what its rules make of cells, and its public address."""

from pathlib import Path

import duckdb
import pytest

from marvel_assets.config import ProjectConfig
from marvel_assets.datasets.base import dataset_names, load_dataset
from marvel_assets.datasets.statements import cleaning_sql
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.files import FileSource
from marvel_assets.sources.resource import SourceResource

DATASET = load_dataset("marvel_wikia_2014")
HEADER = ",".join(DATASET.source_columns)
ROWS = r"""
1,"Moon (Ada \""Ash\"" Lee)",,Secret Identity,Good Characters,Green Eyes,,Female Characters,,Living Characters,12,,1962
2,Gravel,\/Gravel,,Bad Characters,,Grey Hair,,,DECEASED CHARACTERS,,,
3,Nobody,\/Nobody,,,,,,,,1,,1999
"""


def test_cells_are_cleaned_by_the_contract_and_who_is_neither_living_nor_deceased_is_rejected(tmp_path: Path):
    # given
    file = tmp_path / "rows.csv"
    file.write_text(f"{HEADER}\n{ROWS.strip()}\n")

    # when
    with duckdb.connect() as connection:
        [batch] = FileSource("rows", {file: "rows"}, DATASET.source_columns).batches()
        connection.register("raw_characters", batch)
        cleaned = connection.sql(cleaning_sql(DATASET)).df().set_index("Id").sort_index()

    # then: values lose what their column is called, and numbers alone may be missing
    names = ["Identity", "Align", "Eye", "Hair", "Sex", "GSM", "Appearances", "Year", "Alive"]
    assert cleaned.loc["1", names].tolist() == [
        *("Secret", "Good", "Green", "Unknown", "Female", "Unknown"), 12.0, 1962.0, 1,
    ]  # fmt: skip
    assert cleaned.loc["2", names[:6]].tolist() == ["Unknown", "Bad", "Unknown", "Grey", "Unknown", "Unknown"]
    assert cleaned.loc["2", ["Appearances", "Year"]].isna().all()
    assert cleaned["reason"].notna().tolist() == [False, False, True]
    assert cleaned.loc["3", "reason"] == 'ALIVE is "", expected Living Characters or Deceased Characters'


def test_its_name_stands_for_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # given: no host is allowed, so that nothing is requested
    monkeypatch.setenv("MARVEL_SOURCE_HOSTS", "example.org")
    config = ProjectConfig.from_yaml(PROJECT_ROOT / "config" / "project.yml", dataset=DATASET.name)
    sources = SourceResource(scratch=str(tmp_path), last_read=str(tmp_path / "source.json"))

    # then
    with pytest.raises(SourceError, match=r"raw\.githubusercontent\.com"):
        sources.fingerprint("wikia2014", config)


@pytest.mark.parametrize("name", dataset_names())
def test_a_data_set_that_ships_declares_what_belongs_together(name: str):
    # given
    dataset = load_dataset(name)
    stored = set(dataset.source_columns.values())

    # then
    assert {dataset.identifier, dataset.display_name, dataset.target.source} <= stored
    assert {feature.source for feature in dataset.features} <= stored
    assert len({column.lower() for column in stored}) == len(stored)
    assert all(feature.kind == "number" or feature.missing is not None for feature in dataset.features)
