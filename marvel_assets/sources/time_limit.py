"""A time limit that holds whatever is waited for: a slow name server, a stalled network drive, a trickling answer."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = TypeVar("Answer")


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What the call answers.

    No time limit of a client covers a whole call, so it is made in a thread of its own, which is left behind when the
    time is over.

    Raises:
        TimeoutError: there was no answer in time.
    """
    answer: Future[Answer] = Future()

    def wait() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised again where the answer is awaited
            answer.set_exception(error)

    Thread(target=wait, name="within", daemon=True).start()
    return answer.result(timeout=seconds)
