"""Tags with the commit and the Dagster run of an MLflow run or a model version."""

from __future__ import annotations

import logging
import os
import subprocess
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from marvel_assets.paths import PROJECT_ROOT

if TYPE_CHECKING:
    from pathlib import Path

DAGSTER_RUN_ID = "dagster_run_id"
GIT_SECONDS = 10
UNKNOWN = "unknown"


class RunTags(NamedTuple):
    """The code and the run that made an MLflow run or a model version."""

    git_sha: str
    branch: str
    run_id: str

    @classmethod
    def collect(cls, dagster_run_id: str) -> RunTags:
        """Read the tags from git and the Dagster run.

        ``MARVEL_GIT_SHA``, ``MARVEL_GIT_BRANCH`` and ``MARVEL_RUN_ID`` override them, for deployments without a
        checkout. Without Git they are ``unknown``; with uncommitted changes the commit ends in ``-dirty``.
        """
        sha, branch, run_id = (os.environ.get(f"MARVEL_{name}") for name in ("GIT_SHA", "GIT_BRANCH", "RUN_ID"))
        if not (sha and branch):
            found_sha, found_branch = head_of(PROJECT_ROOT)
            sha, branch = sha or found_sha, branch or found_branch
        return cls(sha, branch, run_id or dagster_run_id)

    @property
    def short_sha(self) -> str:
        """The first seven characters of the commit, and ``-dirty`` if it has that."""
        sha, dash, state = self.git_sha.partition("-")
        return f"{sha[:7]}{dash}{state}"

    def as_tags(self, dagster_run_id: str) -> dict[str, str]:
        """The tags of a Dagster run; ``run_id`` only if ``MARVEL_RUN_ID`` overrides it."""
        own = {"run_id": self.run_id} if self.run_id != dagster_run_id else {}
        return {"git_sha": self.git_sha, "branch": self.branch, **own, DAGSTER_RUN_ID: dagster_run_id}


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
