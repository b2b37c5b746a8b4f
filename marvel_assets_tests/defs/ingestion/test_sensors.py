"""The sensor on the source: one run for each content, and skips that a person understands."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from marvel_assets.defs.ingestion.sensors import source_change_sensor
from marvel_assets.defs.resources import Project
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.base import SourceError
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.defs.recorded import record_run
from marvel_assets_tests.homes import Templates

FAIR = 0.1


class Watch:
    """The sensor over an instance, ticking on demand as the daemon would let it."""

    def __init__(self, folder: Path, project: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.project = Project(config_path=str(project))
        self.sources = SourceResource(scratch=str(folder / "scratch"), last_read=str(folder / "source.json"))

    def tick(self) -> str:
        """Why no run is asked for; nothing where one is."""
        resources = {"project": self.project, "sources": self.sources}
        result = source_change_sensor(dg.build_sensor_context(self.instance, cursor=self.cursor, resources=resources))
        if isinstance(result, dg.SkipReason):
            return str(result.skip_message)
        self.cursor = result.cursor
        return "" if result.run_requests else str(result.skip_reason.skip_message)

    def ran(self, status: dg.DagsterRunStatus, *assets: str) -> dg.DagsterRun:
        """Record a retraining on the source as it looks now."""
        look = self.sources.fingerprint(None, self.project.config)
        return record_run(self.instance, look, *assets, status=status)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "characters.csv"
    file.write_text("PageID\n1\n")
    monkeypatch.setenv("MARVEL_SOURCE", str(file))
    return file


@pytest.fixture
def watch(tmp_path: Path, source: Path, small_project: Path) -> Watch:  # noqa: ARG001
    return Watch(tmp_path, small_project, dg.DagsterInstance.ephemeral())


@pytest.mark.integration
def test_content_that_a_model_was_trained_on_is_skipped_with_its_version(
    given_runs: Callable[..., ProjectPaths], templates: Templates, small_project: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    home, source = given_runs(FAIR), templates.source(FAIR)
    monkeypatch.setenv("MARVEL_SOURCE", str(source))

    # then
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        watch = Watch(home.root, small_project, instance)
        assert watch.tick() == f"{source} is still the content of version 0."


def test_each_new_content_asks_for_one_run_also_one_that_comes_back(watch: Watch, source: Path):
    # given
    first = source.with_suffix(".first")
    for rows in ("1", "2", "2\n3"):
        # when
        source.write_text(f"PageID\n{rows}\n")

        # then
        assert watch.tick() == ""
        watch.ran(dg.DagsterRunStatus.SUCCESS, "basic_model")
        assert watch.tick() == f"{source} is still the content of version 0."
        first = first if first.exists() else source.rename(first)

    # and
    first.replace(source)
    assert watch.tick() == ""


@pytest.mark.parametrize(
    ("read", "made"),
    [("of another file", "survival_predictions"), (None, "basic_model")],
    ids=["only scored", "a model made alone"],
)
def test_a_run_that_did_not_train_on_what_it_read_leaves_what_was_trained_on_known(
    watch: Watch, source: Path, read: str | None, made: str
):
    # given
    watch.ran(dg.DagsterRunStatus.SUCCESS, "basic_model")
    record_run(watch.instance, read, made, status=dg.DagsterRunStatus.SUCCESS)

    # then
    assert watch.tick() == f"{source} is still the content of version 0."


@pytest.mark.parametrize("assets", [(), ("basic_model",)], ids=["before it trained", "after it trained"])
def test_a_content_whose_run_failed_is_asked_for_again_when_the_cursor_is_reset(
    watch: Watch, source: Path, assets: tuple[str, ...]
):
    # given
    watch.tick()
    watch.ran(dg.DagsterRunStatus.FAILURE, *assets)

    # then
    assert watch.tick() == (
        f"A run was requested for this content of {source}, and the latest model is not from it. If it failed, fix "
        "the cause and re-execute it, or reset this sensor's cursor to request it again."
    )
    watch.cursor = None
    assert watch.tick() == ""


def test_a_run_that_another_went_on_with_after_a_kill_has_succeeded(watch: Watch, source: Path):
    # given
    watch.tick()
    killed = watch.ran(dg.DagsterRunStatus.FAILURE, "basic_model")

    # when
    kin = {"root_run_id": killed.run_id, "parent_run_id": killed.run_id}
    tags = {f"dagster/{name}": run_id for name, run_id in kin.items()}
    create_run_for_test(watch.instance, job_name="retrain", status=dg.DagsterRunStatus.SUCCESS, tags=tags, **kin)

    # then
    assert watch.tick() == f"{source} is still the content of version 0."


def test_many_changes_while_a_run_is_going_make_one_follow_up(watch: Watch, source: Path):
    # given
    going = create_run_for_test(watch.instance, job_name="retrain", status=dg.DagsterRunStatus.STARTED)
    for rows in ("2", "2\n3"):
        source.write_text(f"PageID\n{rows}\n")
        assert watch.tick() == (
            f"Run {going.run_id[:8]} is retraining; changes in the meantime are looked at when it has ended."
        )

    # when
    watch.instance.report_run_canceled(going)

    # then
    assert watch.tick() == ""
    assert watch.tick().startswith("A run was requested for this content")


def test_a_source_that_is_gone_fails_the_tick_with_its_name(watch: Watch, source: Path):
    # given
    source.unlink()

    # then
    with pytest.raises(SourceError, match=f"{source}: no such file"):
        watch.tick()
