"""The gate in the graph: which version is registered, what is reported, and where the aliases are afterwards."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from marvel_assets.cli.summary import summary
from marvel_assets.config import ProjectConfig
from marvel_assets.defs.registration.assets import _figures
from marvel_assets.defs.resources import profile_resources
from marvel_assets.evaluation.gate import CHAMPION, Comparison, GateResult
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.mlflow import MlflowRegistry
from marvel_assets.registry.model_pairs import ModelPairs
from marvel_assets.tracking.mlflow_store import connect
from marvel_assets_tests.commands import BASIC, CUSTOM, reference, state_of
from marvel_assets_tests.graph import checks_of, failure_of, observed, run_graph, run_job, succeeded
from marvel_assets_tests.homes import Templates, copy_of
from marvel_assets_tests.servers.unity_catalog import UnityCatalogServer

pytestmark = pytest.mark.integration

GOOD, FAIR, BAD = 0.0, 0.1, 0.35
"""Shares of training rows with the wrong label."""


@pytest.fixture(scope="session")
def sources(templates: Templates) -> dict[float, Path]:
    return {share: templates.source(share) for share in (GOOD, FAIR, BAD)}


@pytest.fixture
def config(small_project: Path) -> ProjectConfig:
    return ProjectConfig.from_yaml(small_project)


@pytest.fixture
def gate(tmp_path: Path, small_project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the gate's settings for the runs that follow."""

    def set_gate(**settings: object) -> None:
        content = yaml.safe_load(small_project.read_text())
        content["gate"] |= settings
        path = tmp_path / "project.yml"
        path.write_text(yaml.safe_dump(content))
        monkeypatch.setenv("MARVEL_CONFIG", str(path))

    return set_gate


def pairs_in(home: ProjectPaths, config: ProjectConfig) -> ModelPairs:
    catalog = MlflowRegistry(connect(home.mlflow_uri, home.locks), home.locks)
    return ModelPairs(catalog, config, home.locks)


def shown_on(instance: dg.DagsterInstance, asset: str) -> Mapping[str, dg.MetadataValue[Any]]:
    """What the overview of an asset's page shows."""
    return instance.get_latest_materialization_event(dg.AssetKey(asset)).asset_materialization.metadata


def served(home: ProjectPaths, config: ProjectConfig) -> tuple[int, int]:
    """The numbers of the pair under the aliases, each looked up by its own alias."""
    pairs = pairs_in(home, config)
    assert pairs.reconcile_aliases() is None
    current = pairs.current()
    return current.basic.version, current.custom.version


def test_a_worse_challenger_is_refused_in_a_green_run_with_the_reason_and_compared_once(
    home: ProjectPaths, small_project: Path, sources: dict[float, Path], given_runs: Callable[..., ProjectPaths]
):
    # given
    instance = dg.DagsterInstance.ephemeral()
    given_runs(GOOD)
    run_graph(home, sources[GOOD], instance)
    before = state_of(home, small_project)

    # then: a run that changes nothing shows the slices, too
    report = shown_on(instance, "basic_model_version")["gate"].value
    assert "it is the champion, basic version 1" in report
    assert "| weakest slices | rows | ROC AUC | interval |" in report

    # when
    result = run_graph(home, sources[BAD], instance)

    # then
    assert result.success
    assert not checks_of(result)["passes_the_gate"]
    tags = instance.get_run_by_id(result.run_id).tags
    assert tags["gate"] == "refused"
    assert "model" not in tags
    [reason] = observed(result)
    assert reason.startswith("Refused: ROC AUC 0.")
    assert ", champion 0." in reason
    assert "difference \N{MINUS SIGN}0." in reason
    skipped = [event.step_key for event in result.all_events if event.is_step_skipped]
    assert skipped == ["custom_model_version", "survival_predictions", "drift_report"]
    after = state_of(home, small_project)
    assert (after.versions, after.aliases) == (before.versions, before.aliases)
    assert reference(home, "basic_model_version").version == 1
    assert "What to do: the thresholds are under gate in " in reason
    assert "with mode: report the model is registered anyway" in reason
    page = shown_on(instance, "basic_model_version")
    assert page["gate"].value.startswith("**Refused.**")
    assert (page["reason"].value, page["version"].value) == (reason.removeprefix("Refused: "), 1)

    # and when
    again = run_graph(home, sources[BAD])

    # then
    assert observed(again) == [reason]
    assert not any("against" in str(event.message) for event in again.all_events)


def test_a_champion_shows_no_figures_of_the_comparison_with_the_one_before(
    home: ProjectPaths, sources: dict[float, Path], given_runs: Callable[..., ProjectPaths]
):
    # given
    instance = dg.DagsterInstance.ephemeral()
    given_runs(FAIR, GOOD)

    # when
    run_graph(home, sources[GOOD], instance)

    # then
    assert "champion_roc_auc" not in shown_on(instance, "basic_model_version")


def test_figures_are_of_the_champion_and_not_of_the_best_model():
    # given: the champion can't be loaded
    comparison = Comparison(0.7, 0.8, -0.15, -0.05, 100, "best model served (version 2)")

    # then
    assert _figures(GateResult(comparisons=(comparison,))) == {}
    assert _figures(GateResult(comparisons=(replace(comparison, baseline_name=CHAMPION),)))["champion_roc_auc"] == 0.8


def test_the_verdict_stands_on_the_version_and_in_the_model_card(
    home: ProjectPaths, config: ProjectConfig, given_runs: Callable[..., ProjectPaths]
):
    # given
    given_runs(FAIR, GOOD)

    # when
    pair = pairs_in(home, config).current()
    client = connect(home.mlflow_uri, home.locks)
    files = {file.path for file in client.list_artifacts(pair.basic.run_id)}

    # then
    for text in ("# Survival prediction: model m-", "**Passed.**", "difference +0.", "| ROC AUC |", "train_set@v1"):
        assert text in pair.basic.description
    assert "model_card.md" in files
    assert pair.custom.description.startswith(f"Wraps {config.qualified(BASIC)} version 2")
    for version in (pair.basic, pair.custom):
        assert (version.tags["gate"], version.tags["train_set"]) == ("passed", "v1")
        assert float(version.tags["roc_auc"]) > 0.6


def test_a_champion_that_can_not_be_loaded_is_reported_and_decides_against(
    home: ProjectPaths, config: ProjectConfig, sources: dict[float, Path], given_runs: Callable[..., ProjectPaths]
):
    # given
    given_runs(FAIR)
    for folder in home.mlflow_artifacts.rglob(f"{pairs_in(home, config).current().basic.model_id}/artifacts"):
        shutil.rmtree(folder)

    # when
    result = run_graph(home, sources[GOOD])

    # then
    assert result.success
    [reason] = observed(result)
    assert "no comparison with the champion: basic version 1 can't be loaded: " in reason
    assert "set gate.mode to report" in reason
    assert served(home, config) == (1, 1)


def test_a_second_home_on_a_unity_catalog_server_compares_with_what_the_first_has_logged(
    config: ProjectConfig,
    templates: Templates,
    sources: dict[float, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given_runs: Callable[..., ProjectPaths],
):
    # given: both have fitted a model of their own
    first, second = given_runs(FAIR), copy_of(templates.after(GOOD), tmp_path / "second")
    with UnityCatalogServer() as server:
        monkeypatch.setenv("MARVEL_UC_URL", server.url)
        monkeypatch.setenv("MARVEL_UC_STORAGE_ROOT", (tmp_path / "catalog").as_uri())
        succeeded(run_graph(first, sources[FAIR]))

        # when
        better = succeeded(run_graph(second, sources[GOOD]))
        worse = succeeded(run_graph(first, select="basic_model_version"))

        # then: the second's takes the alias, and the first's is compared with it afterwards
        assert checks_of(better)["passes_the_gate"]
        pair = profile_resources(second)["unity_catalog"].pairs(config).current()
        assert (pair.basic.version, pair.custom.version) == (2, 2)
        [reason] = observed(worse)
        assert reason.startswith("Refused: ROC AUC 0.")


def test_approve_takes_no_version_that_somebody_else_has_registered(
    home: ProjectPaths, config: ProjectConfig, given_runs: Callable[..., ProjectPaths]
):
    # given: a basic version registered by hand, and a wrapper for it
    given_runs(GOOD)
    pairs = pairs_in(home, config)
    foreign = pairs.current().custom.model_id
    pairs._registry.register(pairs.basic_name, foreign, {}, "mine")
    pairs._registry.register(pairs.custom_name, pairs.current().basic.model_id, {"basic_model_id": foreign}, "mine")

    # when
    by_number = run_job(home, "approve", "approve_models", basic_version=2)
    newest = run_job(home, "approve", "approve_models")

    # then
    assert "has no version 2 that basic_model_version has registered; it has 1." in failure_of(by_number)
    assert "basic version 1 and custom version 1 are latest-model already; choose another" in failure_of(newest)
    assert served(home, config) == (1, 1)


def test_approve_notes_first_what_a_person_has_moved_the_alias_from(
    home: ProjectPaths, config: ProjectConfig, given_runs: Callable[..., ProjectPaths]
):
    # given: a third pair, and the alias moved from the second to the first
    given_runs(FAIR, GOOD)
    pairs = pairs_in(home, config)
    basic, custom = pairs.current().custom.model_id, pairs.current().basic.model_id
    pairs._registry.register(pairs.basic_name, basic, {"model_id": basic}, "third")
    pairs._registry.register(pairs.custom_name, custom, {"basic_model_id": basic}, "third")
    pairs._registry.set_alias(pairs.custom_name, "latest-model", 1)

    # when
    succeeded(run_job(home, "approve", "approve_models", basic_version=3))

    # then
    assert served(home, config) == (3, 3)
    assert "from version 2 to 1" in pairs.for_basic_version(2).basic.tags["rollback_reason"]


def test_report_only_shows_the_verdict_and_lets_the_model_through(
    home: ProjectPaths,
    config: ProjectConfig,
    sources: dict[float, Path],
    gate: Callable[..., None],
    given_runs: Callable[..., ProjectPaths],
):
    # given
    given_runs(GOOD)
    gate(mode="report")

    # when
    result = run_graph(home, sources[BAD])

    # then
    assert not checks_of(result)["passes_the_gate"]
    assert served(home, config) == (2, 2)


def test_with_manual_approval_a_version_waits_until_a_person_approves(
    home: ProjectPaths, config: ProjectConfig, sources: dict[float, Path], gate: Callable[..., None]
):
    # given
    gate(approval="manual")
    run_graph(home, sources[GOOD])
    assert pairs_in(home, config).current() is None

    # when
    approved = run_job(home, "approve", "approve_models", actor="Ororo")

    # then
    assert approved.success
    assert served(home, config) == (1, 1)
    assert pairs_in(home, config).current().custom.tags["approved_by"] == "Ororo"


def test_an_earlier_version_that_waits_again_is_named_and_not_taken_for_the_served_one(
    home: ProjectPaths,
    sources: dict[float, Path],
    gate: Callable[..., None],
    given_runs: Callable[..., ProjectPaths],
):
    # given
    given_runs(FAIR, GOOD)
    gate(approval="manual", mode="report")

    # when
    run_graph(home, sources[FAIR])

    # then
    lines = "\n".join(summary(home, with_predictions=False))
    assert f"{BASIC} version 1; approve it with `marvel approve --set basic_version=1`" in lines
    assert "version 2 are latest-model already" in failure_of(run_job(home, "approve", "approve_models"))
    assert run_job(home, "approve", "approve_models", basic_version=1).success
    assert "waiting" not in "\n".join(summary(home, with_predictions=False))


def test_a_rollback_puts_the_earlier_pair_back_with_who_and_why(
    home: ProjectPaths, config: ProjectConfig, given_runs: Callable[..., ProjectPaths]
):
    # given
    given_runs(FAIR, GOOD)

    # when
    done = run_job(home, "rollback", "rollback_models", reason="it calls Uatu dead", actor="Ororo")

    # then
    assert done.success
    assert served(home, config) == (1, 1)
    left = pairs_in(home, config).for_basic_version(2)
    for version in (left.basic, left.custom):
        assert version.tags["rollback_reason"] == "it calls Uatu dead (Ororo)"
    assert pairs_in(home, config).current().basic.tags["restore_reason"] == "it calls Uatu dead"
    made = [event for event in done.all_events if event.is_step_materialization]
    [basic, custom] = [event.step_materialization_data.materialization for event in made]
    for materialization, name in ((basic, "basic_model_version"), (custom, "custom_model_version")):
        assert materialization.asset_key == dg.AssetKey(name)
        assert materialization.metadata["version"].value == reference(home, name).version == 1
        assert materialization.tags["dagster/data_version"] == reference(home, name).data_version
    lines = "\n".join(summary(home, with_predictions=False))
    assert f"custom       models:/{config.qualified(CUSTOM)}/1, alias latest-model" in lines
    assert "not served   it passed the gate; `make run` registers it, or says why" in lines
    assert "refused" not in lines


@pytest.mark.parametrize("mode", ["enforce", "report"])
def test_what_was_rolled_back_is_not_taken_up_again_by_the_next_run(
    home: ProjectPaths,
    config: ProjectConfig,
    sources: dict[float, Path],
    gate: Callable[..., None],
    given_runs: Callable[..., ProjectPaths],
    mode: str,
):
    # given
    given_runs(FAIR, GOOD)
    gate(mode=mode)
    run_job(home, "rollback", "rollback_models", reason="it calls Uatu dead", actor="Ororo")

    # when
    result = run_graph(home, sources[GOOD])

    # then
    assert result.success
    [reason] = observed(result)
    assert reason.startswith("Refused: version 2 was rolled back: it calls Uatu dead (Ororo). Put it back with the job")
    assert served(home, config) == (1, 1)

    # and a trial with its parameters says so
    instance = dg.DagsterInstance.ephemeral()
    tried = run_job(home, "trial", "try_parameters", instance, parameters={})
    messages = [entry.user_message for entry in instance.all_logs(tried.run_id)]
    assert any("The gate would refuse it: version 2 was rolled back" in message for message in messages)


def test_an_alias_that_a_person_moved_back_stays_there_and_the_run_says_why(
    home: ProjectPaths, config: ProjectConfig, sources: dict[float, Path], given_runs: Callable[..., ProjectPaths]
):
    # given
    given_runs(FAIR, GOOD)
    pairs_in(home, config)._registry.set_alias(config.qualified(CUSTOM), "latest-model", 1)
    instance = dg.DagsterInstance.ephemeral()

    # when
    result = run_graph(home, sources[GOOD], instance)

    # then
    assert result.success
    moved = f"somebody moved latest-model of {config.qualified(CUSTOM)} from version 2 to 1"
    [reason] = observed(result)
    assert reason.startswith(f"Refused: version 2 was rolled back: {moved}. Put it back with the job approve")
    assert served(home, config) == (1, 1)
    logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    served_message = f"latest-model is at basic version 1 and custom version 1 now: {moved}"
    assert any(message.startswith(served_message) for message in logged)
    page = shown_on(instance, "custom_model_version")
    assert (page["version"].value, page["reason"].value.startswith(served_message)) == (1, True)
    assert reference(home, "custom_model_version").version == 1
