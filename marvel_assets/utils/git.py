"""The commit and branch of the checkout."""

from __future__ import annotations

import logging
import subprocess
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

GIT_SECONDS = 10
UNKNOWN = "unknown"


def head_of(checkout: Path) -> tuple[str, str]:
    """The commit and the branch of a checkout; both "unknown" if it is not the root of a Git repository.

    With uncommitted changes or untracked files the commit ends in ``-dirty``.
    """
    try:
        return _head_of(checkout)
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(error)
        if isinstance(error, subprocess.CalledProcessError):
            reason = str(error.stderr).strip().partition("\n")[0]
        _warn(f"{checkout}: its commit is unknown ({reason}); MARVEL_GIT_SHA and MARVEL_GIT_BRANCH can name it.")
        return UNKNOWN, UNKNOWN


def _head_of(checkout: Path) -> tuple[str, str]:
    top, commit, branch = _git(checkout, "rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD").splitlines()
    if not checkout.samefile(top):
        raise OSError(f"it is inside another repository, {top}")
    return f"{commit}-dirty" if _git(checkout, "status", "--porcelain") else commit, branch


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS).stdout  # noqa: S603


@cache
def _warn(message: str) -> None:
    """Warn once per process: a run collects the tags several times."""
    logging.getLogger(__name__).warning(message)
