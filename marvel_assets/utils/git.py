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


@cache
def head_of(checkout: Path) -> tuple[str, str]:
    """The commit and the branch of a checkout; both "unknown" if it is not the root of a Git repository.

    With uncommitted changes or untracked files the commit ends in ``-dirty``.
    """
    try:
        top, commit, branch = _git(
            checkout, "rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD"
        ).splitlines()
        if checkout.samefile(top):
            return f"{commit}-dirty" if _git(checkout, "status", "--porcelain") else commit, branch
        reason = f"it is inside another repository, {top}"
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).partition("\n")[0]
    logging.getLogger(__name__).warning(
        f"{checkout}: its commit is unknown ({reason}); MARVEL_GIT_SHA and MARVEL_GIT_BRANCH can name it."
    )
    return UNKNOWN, UNKNOWN


def _git(checkout: Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS).stdout  # noqa: S603
