"""Batch scores: who is scored when, by which version, and what is kept."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from marvel_assets.cli.summary import summary
from marvel_assets.definitions import defs
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import failure_of, metadata_of, run_graph, run_job, succeeded, work_of
from marvel_assets_tests.homes import Templates, note_provenance
from marvel_assets_tests.kaggle import REQUIRED_COLUMNS, SOURCE_COLUMNS

pytestmark = pytest.mark.integration

TABLE = "marvel_dev.marvel_characters.new_characters"


@pytest.fixture
def served(given_runs: Callable[..., ProjectPaths]) -> ProjectPaths:
    """A home for this test alone, in which a model is served."""
    return given_runs(0.0)


def characters(*names: str, **cells: str) -> pa.Table:
    """Characters as delivered, without Alive; the cells given hold for all of them."""
    rows = [
        dict.fromkeys(REQUIRED_COLUMNS, "")
        | {"PageID": name, "Name": name, "Universe": "Earth-616", "Identity": "Secret", "Gender": "Male"}
        | cells
        for name in names
    ]
    return pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in REQUIRED_COLUMNS]))


def folder_of(home: ProjectPaths, table: str) -> Path:
    return home.warehouse / "marvel_dev" / "marvel_characters" / table


def put(home: ProjectPaths, *rows: pa.Table, mode: str = "overwrite") -> None:
    feed = {"delta.enableChangeDataFeed": "true"}
    write_deltalake(folder_of(home, "new_characters"), pa.concat_tables(rows), mode=mode, configuration=feed)


def score(home: ProjectPaths) -> dict[str, object]:
    """What the job that scores a table reports."""
    result = run_job(home, "score", "score_table", table=TABLE)
    return metadata_of(result, "new_characters_predictions")


def predicted(home: ProjectPaths, table: str = "new_characters_predictions") -> dict[str, dict[str, object]]:
    """The rows of the predictions, by id."""
    return {row["Id"]: row for row in pa.table(DeltaTable(folder_of(home, table)).scan()).to_pylist()}


def materialize(home: ProjectPaths, *assets: str, source: Path | None = None) -> dg.ExecuteInProcessResult:
    """Some assets, of another source where one is given."""
    config = {"ops": {"raw_characters": {"config": {"source": str(source)}}}} if source else None
    resources = profile_resources(home)
    return dg.materialize(list(defs.assets), selection=list(assets), resources=resources, run_config=config)


def deliver(home: ProjectPaths, *rows: pa.Table) -> dg.ExecuteInProcessResult:
    """Let the source deliver others, and score them."""
    delivered = {stored: name for name, stored in SOURCE_COLUMNS.items()}
    file = home.root / "delivered.csv"
    frame = pa.concat_tables(rows).to_pandas().rename(columns=delivered)
    frame.assign(URL="", Alive="", Creators="").to_csv(file, index=False)  # a source has all columns
    return materialize(home, "raw_characters", "survival_predictions", source=file)


def test_the_graph_scores_everybody_that_can_be_with_the_version_in_each_row(served: ProjectPaths):
    # when
    rows = predicted(served, "survival_predictions")

    # then: more than are fit to be trained on and tested on, whose fate must be known
    assert len(rows) > sum(DeltaTable(folder_of(served, name)).count() for name in ("train_set", "test_set"))
    assert {row["prediction"] for row in rows.values()} == {"alive", "dead"}
    assert {(row["model"], row["model_version"]) for row in rows.values()} == {
        ("marvel_dev.marvel_characters.marvel_character_model_custom", 1)
    }
    assert all((row["probability"] > 0.5) == (row["prediction"] == "alive") for row in rows.values())


def test_one_answer_for_everybody_is_a_warning(served: ProjectPaths):
    # when
    [both] = materialize(served, "survival_predictions").get_asset_check_evaluations()
    [one] = deliver(served, characters("Anna", "Ben")).get_asset_check_evaluations()

    # then
    assert (both.check_name, both.passed) == ("gives_both_answers", True)
    assert (one.passed, one.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert re.fullmatch(r"(0|100)\.00% of the predictions are 'alive'\.", str(one.description))


def test_the_summary_shows_no_predictions_of_earlier_code(served: ProjectPaths):
    # given
    shown = list(summary(served, with_predictions=True))
    note_provenance(served, "marvel_dev.marvel_characters.survival_predictions", scored_by="earlier")

    # when
    outdated = "\n".join(summary(served, with_predictions=True))
    materialize(served, "survival_predictions")

    # then
    assert "it answers" not in outdated
    assert "marvel run --select survival_predictions` updates them" in outdated
    assert list(summary(served, with_predictions=True)) == shown


def append(home: ProjectPaths) -> None:
    put(home, characters("Emil"), mode="append")


def rewrite(home: ProjectPaths) -> None:
    put(home, characters("Anna"), characters("Ben", Gender="Female"), characters("Cleo", Name="Cleopatra"))


def make_anew(home: ProjectPaths) -> None:
    shutil.rmtree(folder_of(home, "new_characters"))
    put(home, characters("Anna"))


def vacuum(home: ProjectPaths) -> None:
    """Rewrite the table, and delete the files of the versions in between."""
    append(home)
    rewrite(home)
    table = DeltaTable(folder_of(home, "new_characters"))
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


@pytest.mark.parametrize(("change", "scored_now"), [(append, 1), (rewrite, 2), (make_anew, 1), (vacuum, 3)])
def test_who_is_new_or_has_changed_is_scored_and_who_is_gone_is_forgotten(
    served: ProjectPaths, change: Callable[[ProjectPaths], None], scored_now: int
):
    # given
    put(served, characters("Anna", "Ben", "Cleo", "Dora"))
    score(served)
    before = predicted(served)

    # when
    change(served)
    report = score(served)

    # then: the others' rows are the same, up to the time at which they were scored
    delivered = pa.table(DeltaTable(folder_of(served, "new_characters")).scan()).to_pylist()
    after = predicted(served)
    assert {name: row["display_name"] for name, row in after.items()} == {
        row["PageID"]: row["Name"] for row in delivered
    }
    assert report["scored_now"] == scored_now
    assert sum(row != before.get(name) for name, row in after.items()) == scored_now


def test_another_model_scores_everybody_anew(given_runs: Callable[..., ProjectPaths], templates: Templates):
    # given: a model, and a better one after it
    served = given_runs(0.1)
    put(served, characters("Anna", "Ben"))
    score(served)
    succeeded(run_graph(served, templates.source(0.0)))

    # then
    assert score(served)["scored_now"] == 2
    assert {row["model_version"] for row in predicted(served).values()} == {2}


def test_a_table_rewritten_with_equal_rows_is_looked_at_once(served: ProjectPaths):
    # given
    put(served, characters("Anna", "Ben"))
    first = score(served)
    put(served, characters("Ben", "Anna"))

    def work() -> list[str]:
        with dg.DagsterInstance.ephemeral() as instance:
            return work_of(run_job(served, "score", "score_table", instance, table=TABLE), instance)

    # then
    assert (len(work()), work()) == (1, [])
    again = score(served)
    assert (again["unchanged"], again["scored_now"], again["delta_version"]) == (True, 0, first["delta_version"])


def test_all_rows_that_can_not_be_scored_are_counted_whenever_they_came(served: ProjectPaths):
    # given
    put(served, characters("Anna"), characters("Ben", Identity="known to a few"))
    first = score(served)

    # when
    put(served, characters("Cleo"), mode="append")

    # then
    for report in (first, score(served)):
        assert (report["scored_now"], report["unusable"]) == (1, 1)


def test_a_missing_table_is_named(served: ProjectPaths):
    assert f"{TABLE}: there is no such table" in failure_of(run_job(served, "score", "score_table", table=TABLE))


@pytest.mark.parametrize(
    ("job", "op", "config"),
    [("score", "score_table", {"table": TABLE}), ("verify_scoring_environment", "verify_environment", {})],
)
def test_with_nothing_served_a_job_says_what_to_do(home: ProjectPaths, job: str, op: str, config: dict[str, str]):
    # given
    put(home, characters("Anna"))

    # then
    failure = failure_of(run_job(home, job, op, **config))
    assert re.search("No .* alias latest-model yet; materialise custom_model_version first.", failure)


def drift(home: ProjectPaths, instance: dg.DagsterInstance | None = None) -> dict[str, object]:
    """What the report on the latest window holds."""
    return metadata_of(run_graph(home, instance=instance, select="drift_report"), "drift_report")


def test_a_window_of_others_has_drifted_and_one_of_who_was_scored_last_is_too_small(served: ProjectPaths):
    # given
    others = [characters(*[f"Anna {number}" for number in range(300)], Gender="Other", Marital_Status="Married")]
    deliver(served, *others)

    # when
    report = drift(served)

    # then
    assert report["drifted"]
    assert {"Gender", "Marital_Status"} <= set(str(report["reason"]).removesuffix(" drifted").split(", "))

    # and when
    deliver(served, *others, characters("Ben"))

    # then
    report = drift(served)
    assert report["reason"] == "1 rows are too few to compare; 200 are needed."
    assert "drifted" not in report


def test_the_rows_that_were_trained_on_have_not_drifted_in_any_of_the_served_models_features(
    served: ProjectPaths, without_magic: Path, monkeypatch: pytest.MonkeyPatch
):
    # given: other features are configured now
    monkeypatch.setenv("MARVEL_CONFIG", str(without_magic))

    # when
    report = drift(served)

    # then
    assert (report["drifted"], report["reason"]) == (False, "nothing has drifted")
    assert "| Magic |" in str(report["shifts"])
    assert "| prediction |" in str(report["shifts"])
    assert "data:image/png" in str(report["plot"])


def test_drift_looks_again_for_missing_test_rows_and_repeats_a_report_without_another_look(served: ProjectPaths):
    # given
    test_set, aside = folder_of(served, "test_set"), served.root / "aside"
    test_set.rename(aside)
    with dg.DagsterInstance.ephemeral() as instance:
        # when
        missing = drift(served, instance)

        # then: it names them, and claims nothing
        assert "nothing to compare with: marvel_dev.marvel_characters.test_set@v0" in str(missing["reason"])
        assert f"are not at {test_set}." in str(missing["reason"])
        assert "drifted" not in missing

        # and when they are back, and gone again
        aside.rename(test_set)
        found = drift(served, instance)
        shutil.rmtree(test_set)

        # then
        assert found["reason"] == "nothing has drifted"
        assert drift(served, instance) == found
