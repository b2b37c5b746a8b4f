"""The whole graph, through the project's command and Dagster's own, and in this process."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml
from deltalake import DeltaTable

from marvel_assets.cli.summary import summary
from marvel_assets.datasets.marvel_kaggle.generator import generate
from marvel_assets.paths import ProjectPaths
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests import commands
from marvel_assets_tests.commands import python, reference, state_of
from marvel_assets_tests.conftest import SAMPLE_ROWS, SMALL_GENERATOR
from marvel_assets_tests.graph import failure_of, run_graph, succeeded, work_of
from marvel_assets_tests.homes import copy_of, made_once

pytestmark = pytest.mark.integration


def characters_file(folder: Path, rows: pd.DataFrame) -> Path:
    rows.to_csv(folder / "characters.csv", index=False)
    return folder / "characters.csv"


def test_one_command_makes_every_table_model_and_version(first_run: ProjectPaths, small_project: Path):
    # when
    state = state_of(first_run, small_project)

    # then
    assert set(state.table_versions.values()) == {0}
    accepted_and_rejected = sum(state.table_rows[name] for name in ("train_set", "test_set", "rejected_characters"))
    assert accepted_and_rejected == state.table_rows["raw_characters"] == SMALL_GENERATOR["rows"]
    assert all(numbers == [1] for numbers in state.versions.values())
    assert all(number == 1 for number in state.aliases.values())
    assert set(state.mlflow_runs.values()) == {"FINISHED"}
    assert len(state.mlflow_runs) == 2


def test_a_second_run_makes_no_commit_no_fit_and_no_version(materialised: ProjectPaths, small_project: Path):
    # given
    before = state_of(materialised, small_project)

    # when
    with dg.DagsterInstance.ephemeral() as instance:
        again = succeeded(run_graph(materialised, instance=instance))
        work = work_of(again, instance)

    # then
    assert work == []
    assert state_of(materialised, small_project) == before


def test_dagsters_command_takes_the_source_of_one_run_and_needs_no_dagster_home(
    home: ProjectPaths, monkeypatch: pytest.MonkeyPatch
):
    # given: a user who has exported no DAGSTER_HOME, in the checkout that `make` has prepared
    monkeypatch.delenv("DAGSTER_HOME")

    # and what a person writes into the Launchpad
    chosen = {"ops": {"raw_characters": {"config": {"source": "generated", "generator_rows": 120}}}}

    # when
    done = python("-m", "dagster", "asset", "materialize", "-m", "marvel_assets.definitions",
                  "--select", "raw_characters", "--config-json", json.dumps(chosen),
                  MARVEL_SOURCE="/not/there.csv")  # fmt: skip

    # then
    commands.succeeded(done)
    assert reference(home, "raw_characters").rows == 120
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("raw_characters")) is not None


def test_a_failure_is_one_line_that_names_the_cause(home: ProjectPaths, tmp_path: Path):
    # given
    nothing = tmp_path / "nothing.csv"

    # when
    done = commands.marvel("run", MARVEL_SOURCE=str(nothing))

    # then
    assert done.returncode != 0
    [failure] = [line for line in done.stdout.splitlines() if "failed" in line]
    assert f"failed: {nothing}: no such file" in failure
    assert "Traceback" not in done.stdout
    assert not home.warehouse.exists()


def test_the_genuine_sample_is_too_small_for_the_gate_and_goes_through_whole_where_that_only_reports(
    home: ProjectPaths, small_project: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # when: 523 rows to learn from
    succeeded(run_graph(home, sample))

    # then
    printed = "\n".join(summary(home, with_predictions=True))
    assert "  refused      " in printed
    assert "log_loss_gain -0.0" in printed
    assert "custom " not in printed

    # and when
    content = yaml.safe_load(small_project.read_text())
    content["gate"]["mode"] = "report"
    lenient = tmp_path / "lenient.yml"
    lenient.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("MARVEL_CONFIG", str(lenient))
    succeeded(run_graph(home, sample))

    # then
    state = state_of(home, small_project)
    assert state.table_rows["raw_characters"] == SAMPLE_ROWS
    assert sum(state.table_rows[name] for name in ("train_set", "test_set", "rejected_characters")) == SAMPLE_ROWS
    assert "it answers" in "\n".join(summary(home, with_predictions=True))


@pytest.fixture
def after_new_rows(
    tmp_path_factory: pytest.TempPathFactory, home: ProjectPaths, first_run: ProjectPaths, tmp_path: Path
) -> ProjectPaths:
    """The test's own home, in which a second run has read other rows than the first."""

    def make(folder: Path) -> None:
        more = characters_file(tmp_path, generate(2000, 8))
        succeeded(run_graph(copy_of(first_run, folder / "home"), more))

    shutil.rmtree(home.root)
    return copy_of(ProjectPaths(made_once(tmp_path_factory, "after-new-rows", make) / "home"), home.root)


def test_new_rows_make_new_versions_of_everything(after_new_rows: ProjectPaths, small_project: Path):
    # when
    state = state_of(after_new_rows, small_project)

    # then
    assert set(state.table_versions.values()) == {1}
    assert all(numbers == [2, 1] for numbers in state.versions.values())
    assert all(number == 2 for number in state.aliases.values())
    client = connect(after_new_rows.mlflow_uri, after_new_rows.locks)
    inputs = client.get_run(reference(after_new_rows, "basic_model").run_id).inputs.dataset_inputs
    assert {json.loads(item.dataset.source)["delta_table_version"] for item in inputs} == {"1"}


def test_a_change_that_cleaning_drops_stops_at_the_tables(
    materialised: ProjectPaths, small_project: Path, tmp_path: Path
):
    # given: the same characters, with other creators
    before = state_of(materialised, small_project)
    rows = generate(**SMALL_GENERATOR)
    table = materialised.warehouse / "marvel_dev" / "marvel_characters" / "rejected_characters"
    accepted = ~rows["PageID"].isin(DeltaTable(table).to_pandas()["PageID"])
    rows.loc[accepted, "Creators"] = "Somebody Else"

    # when
    succeeded(run_graph(materialised, characters_file(tmp_path, rows)))

    # then
    read = {**before.table_versions, "raw_characters": 1}
    assert state_of(materialised, small_project) == replace(before, table_versions=read)


def test_earlier_rows_that_come_back_bring_their_model_back(
    after_new_rows: ProjectPaths, first_run: ProjectPaths, small_project: Path
):
    # when
    succeeded(run_graph(after_new_rows, "generated"))

    # then
    state = state_of(after_new_rows, small_project)
    assert state.table_versions["train_set"] == 2
    assert reference(after_new_rows, "basic_model") == reference(first_run, "basic_model")
    assert all(numbers == [2, 1] for numbers in state.versions.values())
    assert set(state.aliases.values()) == {1}, state.aliases


def test_one_class_only_is_refused_and_leaves_the_model_under_the_alias(
    materialised: ProjectPaths, small_project: Path, tmp_path: Path
):
    # given
    before = state_of(materialised, small_project)
    survivors = generate(**SMALL_GENERATOR).query("Alive == 'Alive'")

    # when
    message = failure_of(run_graph(materialised, characters_file(tmp_path, survivors)))

    # then
    assert "column Alive: a classifier needs both classes among the training rows" in message
    after = state_of(materialised, small_project)
    assert (after.versions, after.aliases) == (before.versions, before.aliases)


def test_the_command_logs_its_steps_sums_up_asks_what_it_made_and_leaves_nothing_in_the_temporary_folder(
    first_run: ProjectPaths,
):
    # when
    printed = (first_run.root.parent / "printed").read_text()

    # then
    assert any(
        line.split()[1:2] == ["raw_characters"] and "1,500 rows, written" in line for line in printed.splitlines()
    )
    model = reference(first_run, "basic_model").model_id
    for expected in ("Done in", "1,500", "raw_characters@v0", "rejected", "ROC AUC", model, "alias latest-model"):
        assert expected in printed
    _, table = printed.split("  it answers   name")
    answers = [line.strip().rsplit(maxsplit=4)[:4] for line in table.splitlines()[1:] if line.startswith(" " * 15)]
    assert {predicted for _, predicted, _, _ in answers} == {"alive", "dead"}
    assert {actual for _, _, _, actual in answers} == {"alive", "dead"}
    assert all((float(probability) > 0.5) == (predicted == "alive") for _, predicted, probability, _ in answers)
    assert list((first_run.root.parent / "temporary").iterdir()) == []
