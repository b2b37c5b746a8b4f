"""The sentence that a person reads of a failed step."""

import dagster as dg
import pytest
from dagster_shared.error import SerializableErrorInfo

from marvel_assets.defs.alerts import cause_of
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
