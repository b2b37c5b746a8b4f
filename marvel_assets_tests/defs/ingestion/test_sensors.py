"""The sensor on the source: one run for each content, and skips that a person understands."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.ingestion.sensors import source_change_sensor
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.base import SourceError
from marvel_assets_tests.defs.conftest import SensorTicks
from marvel_assets_tests.homes import Templates

FAIR = 0.1


@pytest.fixture
def watch(ticks_of: Callable[[dg.SensorDefinition], SensorTicks], source: Path) -> SensorTicks:  # noqa: ARG001
    return ticks_of(source_change_sensor)


@pytest.mark.integration
def test_content_that_a_model_was_trained_on_is_skipped_with_its_version(
    given_runs: Callable[..., ProjectPaths], templates: Templates, small_project: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    home, source = given_runs(FAIR), templates.source(FAIR)
    monkeypatch.setenv("MARVEL_SOURCE", str(source))

    # then
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        watch = SensorTicks(source_change_sensor, small_project, home.root, instance)
        assert watch.skips() == f"{source} is still the content of version 0."


def test_each_new_content_requests_one_run_also_one_that_comes_back(watch: SensorTicks, source: Path):
    # given
    first = source.with_suffix(".first")
    for rows in ("1", "2", "2\n3"):
        # when
        source.write_text(f"PageID\n{rows}\n")

        # then
        assert watch.tick().run_requests
        watch.record_run("basic_model")
        assert watch.skips() == f"{source} is still the content of version 0."
        first = first if first.exists() else source.rename(first)

    # and
    first.replace(source)
    assert watch.tick().run_requests


@pytest.mark.parametrize(
    ("fingerprint", "made"),
    [("of another file", "survival_predictions"), (None, "basic_model")],
    ids=["only scored", "a model made alone"],
)
def test_a_run_that_did_not_train_on_what_it_read_leaves_what_was_trained_on_known(
    watch: SensorTicks, source: Path, fingerprint: str | None, made: str
):
    # given
    watch.record_run("basic_model")
    watch.record_run(made, fingerprint=fingerprint)

    # then
    assert watch.skips() == f"{source} is still the content of version 0."


@pytest.mark.parametrize("made", [(), ("basic_model",)], ids=["before it trained", "after it trained"])
def test_a_content_whose_run_failed_is_requested_again_when_the_cursor_is_reset(
    watch: SensorTicks, source: Path, made: tuple[str, ...]
):
    # given
    watch.tick()
    watch.record_run(*made, status=DagsterRunStatus.FAILURE)

    # then
    assert watch.skips() == (
        f"A run was requested for this content of {source}, and the latest model is not from it. If it failed, fix "
        "the cause and re-execute it, or reset this sensor's cursor to request it again."
    )
    watch.cursor = None
    assert watch.tick().run_requests


def test_a_run_that_another_went_on_with_after_a_kill_has_succeeded(watch: SensorTicks, source: Path):
    # given
    watch.tick()
    killed = watch.record_run("basic_model", status=DagsterRunStatus.FAILURE)

    # when
    kin = {"root_run_id": killed.run_id, "parent_run_id": killed.run_id}
    tags = {f"dagster/{name}": run_id for name, run_id in kin.items()}
    create_run_for_test(watch.instance, job_name="retrain", status=DagsterRunStatus.SUCCESS, tags=tags, **kin)

    # then
    assert watch.skips() == f"{source} is still the content of version 0."


def test_many_changes_while_a_run_is_going_make_one_follow_up(watch: SensorTicks, source: Path):
    # given
    going = create_run_for_test(watch.instance, job_name="retrain", status=DagsterRunStatus.STARTED)
    for rows in ("2", "2\n3"):
        source.write_text(f"PageID\n{rows}\n")
        assert watch.skips() == (
            f"Run {going.run_id[:8]} is retraining; changes in the meantime are looked at when it has ended."
        )

    # when
    watch.instance.report_run_canceled(going)

    # then
    assert watch.tick().run_requests
    assert watch.skips().startswith("A run was requested for this content")


def test_a_source_that_is_gone_fails_the_tick_with_its_name(watch: SensorTicks, source: Path):
    # given
    source.unlink()

    # then
    with pytest.raises(SourceError, match=f"{source}: no such file"):
        watch.tick()
