"""The tags that trace an MLflow run or a model version back to the commit and the Dagster run that made it."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from marvel_assets.config import ConfigError
from marvel_assets.paths import PROJECT_ROOT
from marvel_assets.utils.errors import shorten
from marvel_assets.utils.git import head_of

TracingText = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=250)]
"""One line, as short as every store of tags takes it."""

DAGSTER_RUN_ID = "dagster_run_id"

OVERRIDDEN_BY = {"git_sha": "MARVEL_GIT_SHA", "branch": "MARVEL_GIT_BRANCH", "run_id": "MARVEL_RUN_ID"}


class RunTags(BaseModel):
    """What traces a run or a model version back to the code and the Dagster run that made it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    git_sha: TracingText
    branch: TracingText
    run_id: TracingText | None = None

    @classmethod
    def collect(cls, dagster_run_id: str) -> RunTags:
        """Read the tags from git and the Dagster run.

        ``MARVEL_GIT_SHA``, ``MARVEL_GIT_BRANCH`` and ``MARVEL_RUN_ID`` override them, for deployments without
        a checkout. What git can't tell is ``unknown``; a commit that the checkout has changed since ends in ``-dirty``.

        Raises:
            ConfigError: naming the variable that can't be a tag.
        """
        tags = {tag: os.environ.get(variable) or "" for tag, variable in OVERRIDDEN_BY.items()}
        if not (tags["git_sha"] and tags["branch"]):
            sha, branch = head_of(PROJECT_ROOT)
            tags |= {"git_sha": tags["git_sha"] or sha, "branch": tags["branch"] or branch}
        tags["run_id"] = tags["run_id"] or dagster_run_id
        try:
            return cls(**tags)
        except ValidationError as error:
            unusable = ", ".join(OVERRIDDEN_BY[str(problem["loc"][0])] for problem in error.errors())
            found_there = ", ".join(shorten(problem["input"]) for problem in error.errors())
            raise ConfigError(
                f"{unusable}: expected one line of at most 250 characters, found {found_there}."
            ) from error

    @property
    def short_sha(self) -> str:
        """The commit in seven letters, as people name it, with ``-dirty`` where that is so."""
        sha, dash, state = self.git_sha.partition("-")
        return f"{sha[:7]}{dash}{state}"

    def as_dict(self) -> dict[str, str]:
        """The tags as MLflow takes them: text by name."""
        return self.model_dump(exclude_none=True)

    def as_tags(self, dagster_run_id: str) -> dict[str, str]:
        """The tags with the Dagster run under its true name; ``run_id`` is one only where it is another's."""
        own = {name: value for name, value in self.as_dict().items() if (name, value) != ("run_id", dagster_run_id)}
        return {**own, DAGSTER_RUN_ID: dagster_run_id}
