"""Tags of MLflow's runs, logged models and versions: the commit and the Dagster run that made them."""

import logging
import os
import subprocess
from functools import cache
from pathlib import Path

from marvel_assets.paths import PROJECT_ROOT

DAGSTER_RUN_ID = "dagster_run_id"
RUN_TAGS = ("git_sha", "branch", "run_id", DAGSTER_RUN_ID)
GIT_SECONDS = 10


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
    command = ["git", f"--git-dir={checkout}/.git", f"--work-tree={checkout}", "status", "--porcelain=v2", "--branch"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        reason = str(getattr(error, "stderr", "") or error).strip()
        variables = "MARVEL_GIT_SHA and MARVEL_GIT_BRANCH can name it"
        logging.getLogger(__name__).warning(f"{checkout}: its commit is unknown ({reason}); {variables}.")
        return "unknown", "unknown"
    # "# branch.oid <commit>", "# branch.head <branch>", perhaps more with "#", and a line for each changed file
    first, second, *others = done.stdout.splitlines()
    commit, branch = first.split()[-1].replace("(initial)", "unknown"), second.split()[-1]
    is_dirty = any(not line.startswith("#") for line in others)
    return f"{commit}-dirty" if is_dirty else commit, branch
