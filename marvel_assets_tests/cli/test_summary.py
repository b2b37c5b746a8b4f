"""What `marvel summary` says of a home whose models, or whose other assets, are not where it looks."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from marvel_assets.cli.summary import _as_typed, summary
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.commands import reference
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

pytestmark = pytest.mark.integration


@pytest.fixture
def ran(home: ProjectPaths, first_run: ProjectPaths) -> ProjectPaths:
    """A home that has what a run handed on, and MLflow's database."""
    shutil.copytree(first_run.references, home.references)
    shutil.copyfile(first_run.mlflow_database, home.mlflow_database)
    return home


def test_without_the_server_that_the_model_was_logged_on_it_says_which_variable_to_set(ran: ProjectPaths):
    # given
    ran.mlflow_database.unlink()

    # when
    lines = list(summary(ran, with_predictions=True))

    # then
    assert lines[-2:] == [
        f"  model        that of the last run is not in {ran.mlflow_uri}; `make run` trains one,",
        "               or set MLFLOW_TRACKING_URI to the server that has it",
    ]
    assert not ran.mlflow_database.exists()


def test_without_the_catalog_that_the_version_was_registered_in_it_says_which_variable_to_set(
    ran: ProjectPaths, unity_catalog_server: UnityCatalogServer, monkeypatch: pytest.MonkeyPatch
):
    # given: a server that does not know it
    monkeypatch.setenv("MARVEL_UC_URL", unity_catalog_server.url)

    # when
    lines = list(summary(ran, with_predictions=True))

    # then
    version = reference(ran, "basic_model_version")
    assert lines[-2:] == [
        f"  registered   {version.name} version 1 is not in uc:{unity_catalog_server.url}; `make run` registers",
        "               it again, or set MARVEL_UC_URL to the server that it was registered on",
    ]


def test_predictions_of_other_rows_than_the_test_rows_are_left_out(materialised: ProjectPaths):
    # given: as after a source whose model the gate has refused
    (table,) = materialised.warehouse.glob("*/*/test_set")
    write_deltalake(table, DeltaTable(table).to_pyarrow_table().slice(0, 0), mode="overwrite")
    kept = materialised.references / "test_set.json"
    kept.write_text(kept.read_text().replace('"version": 0', '"version": 1'))

    # then
    assert not any("it answers" in line for line in summary(materialised, with_predictions=True))


@pytest.mark.usefixtures("ran")
def test_what_another_profile_made_elsewhere_is_not_mixed_in(monkeypatch: pytest.MonkeyPatch):
    # given
    monkeypatch.setenv("MARVEL_PROFILE", "databricks")

    # then
    [line] = summary(ProjectPaths.from_environment(), with_predictions=True)
    assert "of marvel_kaggle has been materialised in" in line


def test_a_next_command_is_printed_as_it_must_be_typed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    # given: as `MARVEL_DATASET=wines make run` leaves it
    programs = Path(sys.executable).parent
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MARVEL_DATASET", "wines")

    # then
    assert _as_typed("make ui") == "`MARVEL_DATASET=wines make ui`"
    assert _as_typed("marvel explain X") == f"`MARVEL_DATASET=wines {os.path.relpath(programs / 'marvel')} explain X`"

    # and when the environment is activated
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.delenv("MARVEL_DATASET")

    # then
    assert _as_typed("marvel explain X") == "`marvel explain X`"
