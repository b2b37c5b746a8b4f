"""Batch scores: who is scored when, by which version, and what is kept."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable, write_deltalake

from marvel_assets.cli.summary import summary
from marvel_assets.definitions import defs
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets_tests.graph import failure_of, metadata_of, run_graph, run_job, work_of
from marvel_assets_tests.homes import Templates, note_provenance
from marvel_assets_tests.kaggle import REQUIRED_COLUMNS, SOURCE_COLUMNS

pytestmark = pytest.mark.integration

TABLE = "marvel_dev.marvel_characters.new_characters"
WITH_FEED = {"delta.enableChangeDataFeed": "true"}


@pytest.fixture
def served(given_runs: Callable[..., ProjectPaths]) -> ProjectPaths:
    """A home of the test's own in which a model is served."""
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


def put(home: ProjectPaths, rows: pa.Table, mode: str = "overwrite") -> None:
    folder = home.warehouse.joinpath(*TABLE.split("."))
    write_deltalake(folder, rows, mode=mode, configuration=WITH_FEED)


def score(home: ProjectPaths, table: str = TABLE) -> dg.ExecuteInProcessResult:
    """The job that scores a table."""
    return run_job(home, "score", "score_table", table=table)


def reported(result: dg.ExecuteInProcessResult, key: str, of: str = "new_characters_predictions") -> object:
    return metadata_of(result, of)[key]


def predicted(home: ProjectPaths, table: str = "new_characters_predictions") -> dict[str, dict[str, object]]:
    """The rows of the predictions, by id."""
    found = DeltaTable(home.warehouse / "marvel_dev" / "marvel_characters" / table)
    return {row["Id"]: row for row in pa.table(found.scan()).to_pylist()}


def materialize(home: ProjectPaths, *assets: str, source: Path | None = None) -> dg.ExecuteInProcessResult:
    """Some assets, of another source where one is given."""
    config = {"ops": {"raw_characters": {"config": {"source": str(source)}}}} if source else None
    return dg.materialize(
        list(defs.assets), selection=list(assets), resources=profile_resources(home), run_config=config,
        raise_on_error=False,
    )  # fmt: skip


def deliver(home: ProjectPaths, rows: pa.Table) -> dg.ExecuteInProcessResult:
    """Let the source deliver others, and score them."""
    delivered = {stored: name for name, stored in SOURCE_COLUMNS.items()}
    file = home.root / "delivered.csv"
    rows.to_pandas().rename(columns=delivered).assign(Alive="").to_csv(file, index=False)
    result = materialize(home, "raw_characters", "survival_predictions", source=file)
    assert result.success, failure_of(result)
    return result


def test_the_graph_scores_everybody_that_can_be_with_the_version_in_each_row(served: ProjectPaths):
    # when
    rows = predicted(served, "survival_predictions")

    # then: more than are fit to be trained on and tested on, whose fate must be known
    folder = served.warehouse / "marvel_dev" / "marvel_characters"
    with_a_fate = sum(DeltaTable(folder / name).count() for name in ("train_set", "test_set"))
    assert len(rows) > with_a_fate
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


def test_the_summary_names_characters_and_shows_no_predictions_of_earlier_code(served: ProjectPaths):
    # given
    names = {str(row["display_name"])[:40] for row in predicted(served, "survival_predictions").values()}

    # when
    shown = "\n".join(summary(served, with_predictions=True))
    note_provenance(served, "marvel_dev.marvel_characters.survival_predictions", scored_by="earlier")
    outdated = "\n".join(summary(served, with_predictions=True))
    assert materialize(served, "survival_predictions").success
    again = "\n".join(summary(served, with_predictions=True))

    # then
    answers = [line.strip().rsplit(maxsplit=4) for line in shown.partition("  it answers   name")[2].splitlines()]
    assert {name for name, *_ in answers[1:]} <= names
    assert {predicted for _, predicted, *_ in answers[1:]} == {"alive", "dead"}
    assert "`marvel run --select survival_predictions` updates them" in outdated
    assert again == shown


def test_only_who_was_appended_is_scored(served: ProjectPaths):
    # given
    put(served, characters("Anna", "Ben"))
    score(served)
    before = predicted(served)

    # when
    put(served, characters("Cleo"), mode="append")
    result = score(served)

    # then
    after = predicted(served)
    assert reported(result, "scored_now") == 1
    assert set(after) == {"Anna", "Ben", "Cleo"}
    assert {name: after[name] for name in before} == before


def test_a_rewritten_table_scores_only_who_has_changed_and_forgets_who_is_gone(served: ProjectPaths):
    # given
    put(served, characters("Anna", "Ben", "Cleo", "Dora"))
    score(served)
    before = predicted(served)

    # when
    changed = [characters("Ben", Gender="Female"), characters("Cleo", Name="Cleopatra")]
    put(served, pa.concat_tables([characters("Anna"), *changed]))
    result = score(served)

    # then
    after = predicted(served)
    assert reported(result, "scored_now") == 2
    assert set(after) == {"Anna", "Ben", "Cleo"}
    assert after["Anna"] == before["Anna"]
    assert (after["Ben"]["Gender"], after["Cleo"]["display_name"]) == ("Female", "Cleopatra")


def test_another_model_scores_everybody_anew(given_runs: Callable[..., ProjectPaths], templates: Templates):
    # given: a model, and a better one after it
    served = given_runs(0.1)
    put(served, characters("Anna", "Ben"))
    score(served)
    assert run_graph(served, templates.source(0.0)).success

    # when
    result = score(served)

    # then
    assert reported(result, "scored_now") == 2
    assert {row["model_version"] for row in predicted(served).values()} == {2}


def test_a_table_that_was_made_anew_is_scored_whole(served: ProjectPaths):
    # given
    put(served, characters("Anna", "Ben"))
    score(served)

    # when: of the same version, with other rows
    shutil.rmtree(served.warehouse.joinpath(*TABLE.split(".")))
    put(served, characters("Cleo"))
    result = score(served)

    # then
    assert reported(result, "scored_now") == 1
    assert set(predicted(served)) == {"Cleo"}


def test_changes_that_are_no_longer_kept_lead_to_scoring_everybody(served: ProjectPaths):
    # given
    put(served, characters("Anna", "Ben"))
    score(served)
    for name in ("Cleo", "Dora"):
        put(served, characters(name), mode="append")
    put(served, characters("Anna", "Ben", "Cleo", "Dora", "Emil"))

    # when: the files of the versions in between are vacuumed away
    folder = served.warehouse.joinpath(*TABLE.split("."))
    DeltaTable(folder).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    result = score(served)

    # then
    assert reported(result, "scored_now") == 5


def work_of_scoring(home: ProjectPaths) -> list[str]:
    with dg.DagsterInstance.ephemeral() as instance:
        return work_of(run_job(home, "score", "score_table", instance, table=TABLE), instance)


def test_a_table_rewritten_with_equal_rows_is_looked_at_once(served: ProjectPaths):
    # given
    put(served, characters("Anna", "Ben"))
    first = score(served)
    put(served, characters("Ben", "Anna"))

    # when
    second, third = work_of_scoring(served), work_of_scoring(served)

    # then
    assert (len(second), third) == (1, [])
    again = score(served)
    assert (reported(again, "unchanged"), reported(again, "scored_now")) == (True, 0)
    assert reported(again, "delta_version") == reported(first, "delta_version")


def test_predictions_are_kept_by_the_table_that_was_scored(served: ProjectPaths):
    # given
    put(served, characters("Anna", "Ben"))
    everybody = predicted(served, "survival_predictions")
    reference = (served.references / "survival_predictions.json").read_text()

    # when
    assert score(served).success
    again = materialize(served, "survival_predictions")

    # then: neither takes the other's place
    assert set(predicted(served)) == {"Anna", "Ben"}
    assert predicted(served, "survival_predictions") == everybody
    assert (served.references / "survival_predictions.json").read_text() == reference
    assert reported(again, "unchanged", "survival_predictions")


def test_all_rows_that_can_not_be_scored_are_counted_whenever_they_came(served: ProjectPaths):
    # given
    put(served, pa.concat_tables([characters("Anna"), characters("Ben", Identity="known to a few")]))
    first = score(served)

    # when
    put(served, characters("Cleo"), mode="append")
    second = score(served)

    # then
    for result in (first, second):
        assert (reported(result, "scored_now"), reported(result, "unusable")) == (1, 1)


def test_a_missing_table_is_named(served: ProjectPaths):
    assert f"{TABLE}: there is no such table" in failure_of(score(served))


def test_with_nothing_served_it_says_what_to_do(home: ProjectPaths, templates: Templates):
    # given
    shutil.copytree(templates.after(0.0).references, home.references)
    put(home, characters("Anna"))

    # then
    assert "No model has the alias latest-model yet; materialise custom_model_version first." in failure_of(score(home))


def drift(home: ProjectPaths, instance: dg.DagsterInstance | None = None) -> dict[str, object]:
    """What the report on the latest window holds."""
    return metadata_of(run_graph(home, instance=instance, select="drift_report"), "drift_report")


def test_the_characters_that_were_trained_on_have_not_drifted(served: ProjectPaths):
    # when
    report = drift(served)

    # then
    assert (report["drifted"], report["reason"]) == (False, "nothing has drifted")
    assert "| prediction |" in str(report["shifts"])
    assert "data:image/png" in str(report["plot"])


def test_a_window_of_others_has_drifted_and_names_the_columns(served: ProjectPaths):
    # given
    deliver(served, characters(*[f"Anna {number}" for number in range(300)], Gender="Other", Marital_Status="Married"))

    # when
    report = drift(served)

    # then
    assert report["drifted"]
    assert "Gender" in str(report["reason"])
    assert "Marital_Status" in str(report["reason"])


def test_only_who_was_scored_last_is_the_window(served: ProjectPaths):
    # given
    everybody = [f"Anna {number}" for number in range(300)]
    deliver(served, characters(*everybody))

    # when
    deliver(served, characters(*everybody, "Ben"))

    # then
    report = drift(served)
    assert report["reason"] == "1 rows are too few to compare; 200 are needed."
    assert "drifted" not in report


def test_drift_is_that_of_the_served_models_features_whatever_is_configured_now(
    served: ProjectPaths, small_project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    content = yaml.safe_load(small_project.read_text()) | {"num_features": ["Height"]}
    (tmp_path / "fewer.yml").write_text(yaml.safe_dump(content))
    monkeypatch.setenv("MARVEL_CONFIG", str(tmp_path / "fewer.yml"))

    # then
    assert "| Weight |" in str(drift(served)["shifts"])


def test_drift_says_what_is_missing_where_the_rows_of_the_judgement_are_gone(served: ProjectPaths):
    # given
    test_set = served.warehouse / "marvel_dev" / "marvel_characters" / "test_set"
    test_set.rename(served.root / "aside")

    with dg.DagsterInstance.ephemeral() as instance:
        # when
        report = drift(served, instance)

        # then: it reports them, claims nothing, and looks again once they are back
        assert "nothing to compare with: marvel_dev.marvel_characters.test_set@v0" in str(report["reason"])
        assert f"are not at {test_set}." in str(report["reason"])
        assert "drifted" not in report
        (served.root / "aside").rename(test_set)
        assert drift(served, instance)["reason"] == "nothing has drifted"


def test_what_was_reported_is_reported_again_without_another_look(served: ProjectPaths):
    # given: what a look would need is gone
    with dg.DagsterInstance.ephemeral() as instance:
        before = drift(served, instance)
        shutil.rmtree(served.warehouse / "marvel_dev" / "marvel_characters" / "test_set")

        # when
        again = drift(served, instance)

    # then
    assert again == before
