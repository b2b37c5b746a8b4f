"""Importing what will be needed while something else is waited for."""

from __future__ import annotations

import contextlib
import importlib
import sys
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread that imports lets go of the interpreter."""


@contextlib.contextmanager
def imported_meanwhile(*modules: str, after: tuple[str, ...] = ()) -> Iterator[None]:
    """Import modules in a thread while the block runs; they are there, or will fail where they are used, when it ends.

    Worth it where the block waits for code that needs no interpreter, such as a fit or a file that is parsed.

    Args:
        modules: what is needed after the block, and not in it.
        after: what the block itself imports of the same packages, imported before it begins: modules that import each
            other in a circle can't be imported by two threads.
    """
    for module in after:
        importlib.import_module(module)
    thread = Thread(target=_import_all, args=modules, name="imports", daemon=True)
    interval = sys.getswitchinterval()
    # The block needs the interpreter for moments, a thousand times in a fit, and would wait for 5 ms each time.
    sys.setswitchinterval(min(interval, SWITCH_INTERVAL))
    thread.start()
    try:
        yield
    finally:
        thread.join()
        sys.setswitchinterval(interval)


def _import_all(*modules: str) -> None:
    for module in modules:
        with contextlib.suppress(ImportError):  # raised again, and told, where the module is used
            importlib.import_module(module)
