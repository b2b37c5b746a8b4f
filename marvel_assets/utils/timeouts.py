"""A time limit that covers a whole call: a slow name server, a stalled network drive, a trickling answer."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def run_with_timeout(seconds: float, function: Callable[[], Result]) -> Result:
    """Call a function in a thread, which is left behind when the time is over: no client's own timeout covers it all.

    Raises:
        TimeoutError: it has not returned in time.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is awaited
            future.set_exception(error)

    Thread(target=run, name="run_with_timeout", daemon=True).start()
    return future.result(timeout=seconds)
