"""Tags of MLflow's runs, logged models and versions: the commit and the Dagster run that made them."""

from __future__ import annotations

import logging
import os
import subprocess
from functools import cache
from typing import TYPE_CHECKING

from marvel_assets.paths import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

DAGSTER_RUN_ID = "dagster_run_id"
RUN_TAGS = ("git_sha", "branch", "run_id", DAGSTER_RUN_ID)
GIT_SECONDS = 10
UNKNOWN = "unknown"


def run_tags(dagster_run_id: str) -> dict[str, str]:
    """The commit and the branch of the checkout, and the Dagster run.

    ``MARVEL_GIT_SHA`` and ``MARVEL_GIT_BRANCH`` replace the first two, for deployments without a checkout;
    ``MARVEL_RUN_ID`` adds the tag ``run_id``.
    """
    sha, branch, run_id = (os.environ.get(f"MARVEL_{name}") for name in ("GIT_SHA", "GIT_BRANCH", "RUN_ID"))
    if not (sha and branch):
        found_sha, found_branch = head_of(PROJECT_ROOT)
        sha, branch = sha or found_sha, branch or found_branch
    tags = {"git_sha": sha, "branch": branch, DAGSTER_RUN_ID: dagster_run_id}
    return {**tags, "run_id": run_id} if run_id else tags


@cache
def head_of(checkout: Path) -> tuple[str, str]:
    """The commit and the branch of a checkout; both "unknown" if it is not the root of a Git repository.

    With uncommitted changes or untracked files the commit ends in ``-dirty``.
    """
    try:
        names = _git(checkout, "rev-parse", "--show-toplevel", "HEAD", "--abbrev-ref", "HEAD")
        top, commit, branch = names.splitlines()
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
