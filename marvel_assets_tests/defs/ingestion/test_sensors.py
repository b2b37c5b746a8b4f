"""The sensor on the source: one run for each content, and skips that a person understands."""

from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from marvel_assets.definitions import defs
from marvel_assets.defs.ingestion.assets import raw_characters
from marvel_assets.defs.ingestion.sensors import FINGERPRINT_TAG, source_change_sensor
from marvel_assets.defs.resources import Project, profile_resources
from marvel_assets.defs.sensor_cursor import SensorError
from marvel_assets.paths import ProjectPaths
from marvel_assets.sources.resource import SourceResource
from marvel_assets_tests.graph import run_graph
from marvel_assets_tests.planted import spoilt_characters
from marvel_assets_tests.servers.scripted import Answer, serving

FIRST, SECOND = 0.0, 0.1


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "characters.csv", FIRST)


def write(file: Path, share: float) -> Path:
    """Replace the file's content; each share gives another."""
    return spoilt_characters(file.parent, share, rows=600).replace(file)


class Watch:
    """The sensor over an instance, ticking on demand as the daemon would let it."""

    def __init__(self, home: ProjectPaths, source: Path | str, project: Path) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self.home = home
        self._resources = {
            "project": Project(config_path=str(project)),
            "sources": SourceResource(default=str(source), scratch=str(home.scratch)),
        }

    def tick(self) -> list[dg.RunRequest] | str:
        """The runs that are asked for, or the reason why there are none."""
        context = dg.build_sensor_context(self.instance, cursor=self.cursor, resources=self._resources)
        result = source_change_sensor(context)
        if isinstance(result, dg.SkipReason):
            return str(result.skip_message)
        self.cursor = result.cursor or self.cursor
        return list(result.run_requests or []) or str(result.skip_reason.skip_message)

    def run(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> str:
        """A run of the request in some state."""
        made = create_run_for_test(self.instance, job_name="retrain", status=status, tags=dict(request.tags))
        return made.run_id[:8]


@pytest.fixture
def watch(home: ProjectPaths, source: Path, small_project: Path) -> Watch:
    return Watch(home, source, small_project)


def test_the_first_look_asks_for_a_run(watch: Watch):
    # when
    [request] = watch.tick()

    # then
    assert request.run_key == f"{request.tags[FINGERPRINT_TAG]}:0"


def test_content_that_is_stored_already_is_skipped_with_its_version(watch: Watch, source: Path):
    # given
    run_graph(watch.home, source, watch.instance, select="raw_characters")

    # then
    assert watch.tick() == f"{source} is still the content of version 0."


def test_content_whose_run_failed_after_it_was_stored_is_asked_for(watch: Watch, source: Path, small_project: Path):
    # given: the rows are stored, and the training fails
    catalog, schema, table = Project(config_path=str(small_project)).config.qualified("train_set").split(".")
    in_the_way = watch.home.warehouse / catalog / schema / table
    in_the_way.parent.mkdir(parents=True)
    in_the_way.touch()
    assert not run_graph(watch.home, source, watch.instance).success
    assert watch.instance.get_latest_materialization_event(raw_characters.key)

    # then
    [request] = watch.tick()
    run = watch.run(request, dg.DagsterRunStatus.FAILURE)
    assert watch.tick().startswith(f"Run {run} for this content of {source} ended as FAILURE.")


def test_a_run_of_the_raw_rows_alone_has_not_trained_on_them(watch: Watch, source: Path):
    # given
    dg.materialize(
        defs.assets,
        selection="raw_characters",
        resources=profile_resources(watch.home),
        run_config={"ops": {"raw_characters": {"config": {"source": str(source)}}}},
        instance=watch.instance,
    )

    # then
    assert len(watch.tick()) == 1


def test_characters_that_were_only_scored_leave_what_was_trained_on_known(watch: Watch, source: Path):
    # given
    run_graph(watch.home, source, watch.instance, select="raw_characters")
    dg.materialize(
        defs.assets,
        selection="raw_characters",
        resources=profile_resources(watch.home),
        run_config={"ops": {"raw_characters": {"config": {"source": str(write(source.with_name("b.csv"), SECOND))}}}},
        instance=watch.instance,
    )

    # then
    assert watch.tick() == f"{source} is still the content of version 0."


def test_the_sensor_asks_a_server_for_the_version_and_leaves_reading_to_the_run(
    home: ProjectPaths, small_project: Path, monkeypatch: pytest.MonkeyPatch
):
    # given
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    def answer_nothing(_: object) -> None:
        raise AssertionError("the file was asked for")

    with serving(lambda _: Answer(200, {"ETag": '"1"'}, answer_nothing)) as served:
        # when
        watch = Watch(home, f"{served.url}/characters.csv", small_project)

        # then
        assert len(watch.tick()) == 1
        assert served.asked == ["/characters.csv"]


def test_new_content_asks_for_one_run(watch: Watch, source: Path):
    # given
    run_graph(watch.home, source, watch.instance, select="raw_characters")
    watch.tick()

    # when
    write(source, SECOND)

    # then
    assert len(watch.tick()) == 1


def test_a_duplicated_event_carries_the_same_run_key(watch: Watch):
    # given
    [first] = watch.tick()

    # when: the tick's cursor was lost
    watch.cursor = None
    [second] = watch.tick()

    # then: Dagster makes no second run of a key
    assert second.run_key == first.run_key


def test_while_a_run_is_going_nothing_is_asked_for(watch: Watch, source: Path):
    # given
    [request] = watch.tick()
    run = watch.run(request, dg.DagsterRunStatus.STARTED)

    # when
    write(source, SECOND)

    # then
    assert watch.tick() == (f"Run {run} is retraining; what has changed meanwhile is looked at when it has ended.")


def test_many_changes_while_a_run_is_going_make_one_follow_up(watch: Watch, source: Path):
    # given
    [request] = watch.tick()
    watch.run(request, dg.DagsterRunStatus.STARTED)
    for share in (SECOND, 0.2, 0.3):
        write(source, share)
        watch.tick()
    [going] = watch.instance.get_runs()

    # when
    watch.instance.report_run_canceled(going)
    [follow_up] = watch.tick()

    # then
    watch.run(follow_up, dg.DagsterRunStatus.SUCCESS)
    assert follow_up.run_key != request.run_key


def test_a_content_whose_run_failed_is_skipped_with_the_way_out(watch: Watch, source: Path):
    # given
    [request] = watch.tick()
    run = watch.run(request, dg.DagsterRunStatus.FAILURE)

    # then
    told = watch.tick()
    assert told.startswith(f"Run {run} for this content of {source} ended as FAILURE.")
    assert "reset this sensor's cursor" in told


def test_a_failed_content_is_asked_for_again_when_the_cursor_is_reset(watch: Watch):
    # given
    [request] = watch.tick()
    watch.run(request, dg.DagsterRunStatus.FAILURE)

    # when
    watch.cursor = None
    [again] = watch.tick()

    # then
    assert again.run_key == f"{request.tags[FINGERPRINT_TAG]}:1"


def test_new_content_after_a_failure_is_asked_for(watch: Watch, source: Path):
    # given
    [request] = watch.tick()
    watch.run(request, dg.DagsterRunStatus.FAILURE)

    # when
    write(source, SECOND)

    # then
    assert len(watch.tick()) == 1


def test_content_that_comes_back_after_another_was_stored_is_asked_for_anew(watch: Watch, source: Path):
    # given
    [first] = watch.tick()
    run_graph(watch.home, source, watch.instance, select="raw_characters")
    watch.run(first, dg.DagsterRunStatus.SUCCESS)
    aside = source.rename(source.with_suffix(".aside"))
    write(source, SECOND)
    watch.tick()
    run_graph(watch.home, source, watch.instance, select="raw_characters")

    # when: the same file is put back
    aside.replace(source)
    [again] = watch.tick()

    # then
    assert again.tags == first.tags
    assert again.run_key != first.run_key


def test_three_errors_in_a_row_fail_the_tick_and_say_since_when(watch: Watch, source: Path):
    # given
    source.unlink()
    assert "can't be looked at" in watch.tick()
    assert "can't be looked at" in watch.tick()

    # then
    for _ in range(2):
        with pytest.raises(
            SensorError, match=r"can't be looked at, since \d{4}-\d\d-\d\d \d\d:\d\d UTC: .*no such file"
        ):
            watch.tick()


def test_a_look_that_succeeds_ends_the_row_of_errors(watch: Watch, source: Path):
    # given
    source.unlink()
    watch.tick()
    watch.tick()

    # when
    write(source, FIRST)
    watch.tick()
    source.unlink()

    # then
    assert "can't be looked at" in watch.tick()


def test_a_source_that_is_gone_is_told(watch: Watch, source: Path):
    # given
    source.unlink()

    # then
    assert watch.tick().startswith(f"The source can't be looked at: {source}: no such file")
