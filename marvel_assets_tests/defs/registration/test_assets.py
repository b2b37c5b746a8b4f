"""The gate in the graph: which version is registered, what is reported, and where the aliases are afterwards."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from marvel_assets.cli.summary import summary
from marvel_assets.defs.resources import profile_resources
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.model_pairs import ModelPairs
from marvel_assets_tests.commands import BASIC, CUSTOM, reference, state_of
from marvel_assets_tests.graph import checks_of, failure_of, observed, run_graph, run_job, succeeded
from marvel_assets_tests.homes import Templates, copy_of
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

pytestmark = pytest.mark.integration

GOOD, FAIR, BAD = 0.0, 0.1, 0.35
"""Shares of training rows with the wrong label."""
SCHEMA = "marvel_dev.marvel_characters"

Given = Callable[..., ProjectPaths]
Gate = Callable[..., None]


@pytest.fixture
def gate(tmp_path: Path, small_project: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Sets the gate's settings for the runs that follow."""

    def set_gate(**settings: object) -> None:
        content = yaml.safe_load(small_project.read_text())
        content["gate"] |= settings
        path = tmp_path / "project.yml"
        path.write_text(yaml.safe_dump(content))
        monkeypatch.setenv("MARVEL_CONFIG", str(path))

    return set_gate


def pairs_in(home: ProjectPaths) -> ModelPairs:
    resources = profile_resources(home)
    return resources["unity_catalog"].pairs(resources["project"].config)


def shown_on(instance: dg.DagsterInstance, asset: str) -> Mapping[str, dg.MetadataValue[Any]]:
    """What the overview of an asset's page shows."""
    return instance.get_latest_materialization_event(dg.AssetKey(asset)).asset_materialization.metadata


def served(home: ProjectPaths) -> tuple[int, int]:
    """The numbers of the pair under the aliases, each looked up by its own alias."""
    pairs = pairs_in(home)
    assert pairs.reconcile_aliases() is None
    return tuple(version.version for version in pairs.current())


def summary_of(home: ProjectPaths) -> str:
    return "\n".join(summary(home, with_predictions=False))


def test_a_worse_challenger_is_refused_in_a_green_run_with_the_reason_and_compared_once(
    small_project: Path, templates: Templates, given_runs: Given
):
    # given
    home, instance = given_runs(FAIR, GOOD), dg.DagsterInstance.ephemeral()
    run_graph(home, templates.source(GOOD), instance)
    before = state_of(home, small_project)

    # then: a run that changes nothing shows the slices, too
    page = shown_on(instance, "basic_model_version")
    assert "it is the champion, basic version 2" in page["gate"].value
    assert "| weakest slices | rows | ROC AUC | interval |" in page["gate"].value

    # when
    result = run_graph(home, templates.source(BAD), instance)

    # then
    assert result.success
    assert not checks_of(result)["passes_the_gate"]
    tags = instance.get_run_by_id(result.run_id).tags
    assert (tags["gate"], tags.get("model")) == ("refused", None)
    [reason] = observed(result)
    for text in (
        "Refused: ROC AUC 0.",
        ", champion 0.",
        "difference \N{MINUS SIGN}0.",
        "What to do: the thresholds are under gate in ",
        "with mode: report the model is registered anyway",
    ):
        assert text in reason
    skipped = [event.step_key for event in result.all_events if event.is_step_skipped]
    assert skipped == ["custom_model_version", "survival_predictions", "drift_report"]
    after = state_of(home, small_project)
    assert (after.versions, after.aliases) == (before.versions, before.aliases)
    assert reference(home, "basic_model_version").version == 2
    [check] = [check for check in result.get_asset_check_evaluations() if check.check_name == "passes_the_gate"]
    assert check.metadata["gate"].value.startswith("**Refused.**")
    assert check.description == reason.removeprefix("Refused: ")

    # and when
    again = run_graph(home, templates.source(BAD))

    # then
    assert observed(again) == [reason]
    assert not any("against" in str(event.message) for event in again.all_events)


def test_the_verdict_stands_on_the_version_and_in_the_model_card(given_runs: Given):
    # given
    home = given_runs(FAIR, GOOD)

    # when
    pair = pairs_in(home).current()

    # then
    for text in ("# Survival prediction: model m-", "**Passed.**", "difference +0.", "| ROC AUC |", "train_set@v1"):
        assert text in pair.basic.description
    assert pair.custom.description == (
        f"Wraps {SCHEMA}.{BASIC} version 2; answers with labels.\n\n{pair.basic.description}"
    )
    for version in pair:
        assert (version.tags["gate"], version.tags["train_set"]) == ("passed", "v1")
        assert float(version.tags["roc_auc"]) > 0.6


def test_report_only_lets_a_refused_model_through_and_one_that_is_judged_again_shows_the_latest_verdict(
    gate: Gate, templates: Templates, given_runs: Given
):
    # given: version 1 was judged without a champion
    home = given_runs(GOOD)
    assert "no champion to compare with" in pairs_in(home).current().custom.description
    gate(mode="report")

    # when
    result = run_graph(home, templates.source(BAD))

    # then
    assert not checks_of(result)["passes_the_gate"]
    assert served(home) == (2, 2)

    # and when version 1 is judged again, against version 2
    succeeded(run_graph(home, templates.source(GOOD)))

    # then
    assert served(home) == (1, 1)
    for version in pairs_in(home).current():
        assert ", champion 0." in version.description
        assert "no champion to compare with" not in version.description


def test_a_second_home_on_a_unity_catalog_server_compares_with_what_the_first_has_logged(
    templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given_runs: Given
):
    # given: both have fitted a model of their own
    first, second = given_runs(FAIR), copy_of(templates.after(GOOD), tmp_path / "second")
    with UnityCatalogServer() as server:
        monkeypatch.setenv("MARVEL_UC_URL", server.url)
        monkeypatch.setenv("MARVEL_UC_STORAGE_ROOT", (tmp_path / "catalog").as_uri())
        succeeded(run_graph(first, templates.source(FAIR)))

        # when
        better = succeeded(run_graph(second, templates.source(GOOD)))
        worse = succeeded(run_graph(first, select="basic_model_version"))

        # then: the second's takes the alias, and the first's is compared with it afterwards
        assert checks_of(better)["passes_the_gate"]
        assert served(second) == (2, 2)
        [reason] = observed(worse)
        assert reason.startswith("Refused: ROC AUC 0.")


def test_approve_notes_first_what_a_person_has_moved_the_alias_from(given_runs: Given):
    # given: a third pair, and the alias moved from the second to the first
    home = given_runs(FAIR, GOOD)
    pairs = pairs_in(home)
    custom, basic = (version.model_id for version in pairs.current())
    pairs._registry.register(pairs.basic_name, basic, {}, "third")
    pairs._registry.register(pairs.custom_name, custom, {"basic_model_id": basic}, "third")
    pairs._registry.set_alias(pairs.custom_name, "latest-model", 1)

    # when
    succeeded(run_job(home, "approve", "approve_models", basic_version=3))

    # then
    assert served(home) == (3, 3)
    assert "from version 2 to 1" in pairs.for_basic_version(2).basic.tags["rollback_reason"]


def test_with_manual_approval_a_version_waits_until_a_person_approves(
    home: ProjectPaths, templates: Templates, gate: Gate
):
    # given
    gate(approval="manual")
    run_graph(home, templates.source(GOOD))
    assert pairs_in(home).current() is None

    # when
    succeeded(run_job(home, "approve", "approve_models", actor="Ororo"))

    # then
    assert served(home) == (1, 1)
    assert pairs_in(home).current().custom.tags["approved_by"] == "Ororo"


def test_an_earlier_version_that_waits_again_is_named_and_not_taken_for_the_served_one(
    gate: Gate, templates: Templates, given_runs: Given
):
    # given
    home = given_runs(FAIR, GOOD)
    gate(approval="manual", mode="report")

    # when
    run_graph(home, templates.source(FAIR))

    # then
    assert re.search(f"{BASIC} version 1; approve it with `.*marvel approve --set basic_version=1`", summary_of(home))
    failure = failure_of(run_job(home, "approve", "approve_models"))
    assert "version 2 are latest-model already; choose another: marvel approve --set basic_version=<number>" in failure
    succeeded(run_job(home, "approve", "approve_models", basic_version=1))
    assert "waiting" not in summary_of(home)


def test_a_rollback_puts_the_earlier_pair_back_with_who_and_why(given_runs: Given):
    # given
    home = given_runs(FAIR, GOOD)

    # when
    done = succeeded(run_job(home, "rollback", "rollback_models", reason="it calls Uatu dead", actor="Ororo"))

    # then
    assert served(home) == (1, 1)
    for version in pairs_in(home).for_basic_version(2):
        assert version.tags["rollback_reason"] == "it calls Uatu dead (Ororo)"
    assert pairs_in(home).current().basic.tags["restore_reason"] == "it calls Uatu dead"
    made = [event.step_materialization_data.materialization for event in done.all_events
            if event.is_step_materialization]  # fmt: skip
    assert [each.asset_key.path[-1] for each in made] == ["basic_model_version", "custom_model_version"]
    for materialization in made:
        handed_on = reference(home, materialization.asset_key.path[-1])
        assert materialization.metadata["version"].value == handed_on.version == 1
        assert materialization.tags["dagster/data_version"] == handed_on.data_version
    lines = summary_of(home)
    assert f"custom       models:/{SCHEMA}.{CUSTOM}/1, alias latest-model" in lines
    assert "not served   it passed the gate; `make run` registers it, or says why" in lines
    assert "refused" not in lines


def test_what_was_rolled_back_is_not_taken_up_again_by_the_next_run_even_if_the_gate_only_reports(
    gate: Gate, templates: Templates, given_runs: Given
):
    # given
    home, instance = given_runs(FAIR, GOOD), dg.DagsterInstance.ephemeral()
    gate(mode="report")
    run_job(home, "rollback", "rollback_models", reason="it calls Uatu dead", actor="Ororo")

    # when
    result = succeeded(run_graph(home, templates.source(GOOD)))

    # then
    [reason] = observed(result)
    assert reason.startswith("Refused: version 2 was rolled back: it calls Uatu dead (Ororo). Put it back with the job")
    assert served(home) == (1, 1)

    # and a trial with its parameters says so
    tried = run_job(home, "trial", "try_parameters", instance, parameters={})
    messages = [entry.user_message for entry in instance.all_logs(tried.run_id)]
    assert any("The gate would refuse it: version 2 was rolled back" in message for message in messages)


def test_an_alias_that_a_person_moved_back_stays_there_and_the_run_says_why(templates: Templates, given_runs: Given):
    # given
    home, instance = given_runs(FAIR, GOOD), dg.DagsterInstance.ephemeral()
    pairs_in(home)._registry.set_alias(f"{SCHEMA}.{CUSTOM}", "latest-model", 1)

    # when
    result = succeeded(run_graph(home, templates.source(GOOD), instance))

    # then
    moved = f"somebody moved latest-model of {SCHEMA}.{CUSTOM} from version 2 to 1"
    [reason] = observed(result)
    assert reason.startswith(f"Refused: version 2 was rolled back: {moved}. Put it back with the job approve")
    assert served(home) == (1, 1)
    served_message = f"latest-model is at basic version 1 and custom version 1 now: {moved}"
    page = shown_on(instance, "custom_model_version")
    assert (page["version"].value, page["reason"].value.startswith(served_message)) == (1, True)
    assert reference(home, "custom_model_version").version == 1
