"""The sentence that a person reads of a failed step."""

from pathlib import Path

import dagster as dg
import pytest
from dagster_shared.error import SerializableErrorInfo

from marvel_assets.defs.alerts import cause_of
from marvel_assets.defs.disk_space import add_disk_hint
from marvel_assets.paths import ProjectPaths
from marvel_assets.registry.base import RegistryError

UNAVAILABLE = "The Unity Catalog server at http://there can't be reached."


def caused(error: Exception) -> Exception:
    """The error as it is when it was raised from another."""
    error.__cause__ = TimeoutError("timed out")
    return error


def hiding(error: Exception) -> Exception:
    """The error as it is when a library raised it while it handled the project's own."""
    error.__context__ = RegistryError(UNAVAILABLE)
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (caused(RegistryError(UNAVAILABLE)), UNAVAILABLE),
        (caused(dg.Failure("Nothing is under the alias.")), "Nothing is under the alias."),
        (caused(RuntimeError("it did not work")), "RuntimeError: it did not work (TimeoutError: timed out)"),
        (hiding(RuntimeError("please ensure that the path is correct")), UNAVAILABLE),
    ],
    ids=["the project's own", "a failure", "a library's", "the project's own, hidden by a library"],
)
def test_an_error_of_the_project_is_a_sentence_and_others_show_what_led_to_them(error: Exception, sentence: str):
    # given
    @dg.op
    def fails() -> None:
        raise error

    @dg.job
    def job() -> None:
        fails()

    # when
    result = job.execute_in_process(raise_on_error=False)

    # then
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert cause_of(failure.step_failure_data.error) == sentence


@pytest.mark.parametrize("error", [KeyboardInterrupt(), dg.DagsterExecutionInterruptedError()])
def test_an_interruption_is_reported_as_one(error: BaseException):
    # given
    reported = SerializableErrorInfo("", [], type(error).__name__)

    # then
    assert cause_of(reported) == "interrupted; run it again, finished work is kept"


@pytest.mark.parametrize(
    "message", ["[Errno 28] No space left on device.", "(sqlite3.OperationalError) disk I/O error", "timed out"]
)
def test_an_error_that_may_report_a_full_disk_says_which_and_what_to_do(tmp_path: Path, message: str):
    # when
    hint = add_disk_hint(message, ProjectPaths(tmp_path))

    # then
    assert hint.startswith(message.rstrip("."))
    assert (f"The disk may be full: {tmp_path} has " in hint) is (message != "timed out")
