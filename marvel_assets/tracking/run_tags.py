"""Tags with the commit and the Dagster run of an MLflow run or a model version."""

from __future__ import annotations

import os
from typing import NamedTuple

from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.utils.git import head_of

DAGSTER_RUN_ID = "dagster_run_id"


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
