"""The drift sensor: enough windows, the latest among them, and never twice for one window."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from marvel_assets.automation.drift import drift
from marvel_assets.resources.project import Project

STABLE, MOVED = False, True


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def report(instance: dg.DagsterInstance, *windows: bool, model: int = 1, first: int = 0) -> None:
    for number, is_drifted in enumerate(windows, start=first):
        told = {"drifted": is_drifted, "window": number, "model_version": model}
        instance.report_runless_asset_event(dg.AssetMaterialization("drift_report", metadata=told))


def tick(instance: dg.DagsterInstance, project: Path) -> dg.RunRequest | str:
    context = dg.build_sensor_context(instance, resources={"project": Project(config_path=str(project))})
    result = drift(context)
    return result if isinstance(result, dg.RunRequest) else str(result.skip_message)


def test_without_a_report_it_says_what_to_materialise(instance: dg.DagsterInstance, small_project: Path):
    assert tick(instance, small_project) == "No drift report yet; materialise drift_report."


def test_two_of_five_and_the_latest_retrain(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, STABLE, STABLE, STABLE, MOVED)

    # then
    assert tick(instance, small_project).run_key == "drift:1:4"


def test_one_window_is_not_enough(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, STABLE, MOVED)

    # then
    assert tick(instance, small_project) == "1 of the last 2 window(s) of version 1 drifted; 2 are needed to retrain."


def test_the_latest_must_have_drifted(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, MOVED, STABLE)

    # then
    assert tick(instance, small_project) == "2 of the last 3 window(s) of version 1 drifted; the latest one did not."


def test_windows_before_the_last_five_do_not_count(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, STABLE, STABLE, STABLE, STABLE, MOVED)

    # then
    assert "1 of the last 5" in tick(instance, small_project)


def test_a_window_that_was_reported_twice_counts_once(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED)
    report(instance, MOVED)

    # then
    assert "1 of the last 1" in tick(instance, small_project)


def test_windows_of_the_version_before_do_not_count(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, MOVED, model=1)
    report(instance, MOVED, model=2, first=2)

    # then
    assert "1 of the last 1 window(s) of version 2" in tick(instance, small_project)


def test_one_window_asks_with_one_run_key(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, MOVED)

    # then: Dagster makes no second run of a key
    assert tick(instance, small_project).run_key == tick(instance, small_project).run_key


def test_while_a_retraining_is_going_nothing_is_asked_for(instance: dg.DagsterInstance, small_project: Path):
    # given
    report(instance, MOVED, MOVED)
    create_run_for_test(instance, job_name="retrain", status=dg.DagsterRunStatus.STARTED)

    # then
    assert "is retraining already" in tick(instance, small_project)
