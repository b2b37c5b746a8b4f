"""The sentence that a person reads of a failed step."""

import dagster as dg
import pytest
from dagster_shared.error import SerializableErrorInfo

from marvel_assets.defs.alerts import cause_of
from marvel_assets.registry.base import RegistryUnavailableError

UNAVAILABLE = "The Unity Catalog server at http://there can't be reached."


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RegistryUnavailableError(UNAVAILABLE), UNAVAILABLE),
        (dg.Failure("Nothing is under the alias."), "Nothing is under the alias."),
        (RuntimeError("it did not work"), "RuntimeError: it did not work (TimeoutError: timed out)"),
    ],
)
def test_an_error_of_our_own_is_told_and_of_others_also_what_led_to_them(error: Exception, told: str):
    # given
    @dg.op
    def fails() -> None:
        raise error from TimeoutError("timed out")

    @dg.job
    def job() -> None:
        fails()

    # when
    result = job.execute_in_process(raise_on_error=False)

    # then
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert cause_of(failure.step_failure_data.error) == told


@pytest.mark.parametrize("error", [KeyboardInterrupt(), dg.DagsterExecutionInterruptedError()])
def test_an_interruption_is_told_as_one(error: BaseException):
    # given
    told = SerializableErrorInfo("", [], type(error).__name__)

    # then
    assert cause_of(told) == "interrupted; run it again, what was done is kept"


def test_an_error_of_our_own_is_told_where_a_library_hides_it():
    # given
    @dg.op
    def fails() -> None:
        try:
            raise RegistryUnavailableError(UNAVAILABLE)  # noqa: TRY301
        except RegistryUnavailableError:
            raise RuntimeError("please ensure that the path is correct")  # noqa: B904 - as libraries do

    @dg.job
    def job() -> None:
        fails()

    # when
    result = job.execute_in_process(raise_on_error=False)

    # then
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert cause_of(failure.step_failure_data.error) == UNAVAILABLE
