"""The folder for everything local: tables, models, catalog, and Dagster's storage."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import file_lock

PROJECT_ROOT = Path(__file__).resolve().parent.parent

READ_BY_URLS = frozenset("?%[]")
"""Characters with a meaning in URLs: SQLite would put a database outside the home, and delta-rs would find no table."""

FREE_BYTES = 100 << 20  # free space that a run needs: four times what a run with 92,000 characters writes


class ProjectPathsError(ValueError):
    """The folder that MARVEL_HOME names can't be used."""


def _in_home(relative: str) -> cached_property[Path]:
    return cached_property(lambda home: home.root / relative)


@dataclass(frozen=True)
class ProjectPaths:
    """The paths of all local state, under ``MARVEL_HOME`` (default ``.marvel`` in the project).

    Attributes:
        root: the folder; delete it for a clean start.
        dataset: each data set has its own references and last source; '' for the default one.
        environment: each environment has its own references; '' for dev.
        profile: references to what is on Databricks are kept apart; '' for the other profiles.
    """

    root: Path
    dataset: str = ""
    environment: str = ""
    profile: str = ""

    warehouse = _in_home("warehouse")  # Delta tables, at <catalog>/<schema>/<table>
    provenance = _in_home("provenance")  # a JSON file per table that was made again with equal rows
    mlflow_database = _in_home("mlflow/mlflow.db")  # MLflow's tracking store and model registry
    mlflow_artifacts = _in_home("mlflow/artifacts")  # of MLflow's runs and logged models
    dagster = _in_home("dagster")  # Dagster's instance (DAGSTER_HOME)
    pipelines = _in_home("pipelines")  # fitted pipelines as skops files, named by the cache key of the fit
    studies = _in_home("studies")  # of searches for better parameters, named by their cache keys
    wheels = _in_home("wheels")  # inference wheels, whose names hold a hash of their content
    spark = _in_home("spark")  # Delta's jars and the class-data archive for local Spark sessions
    scratch = _in_home("scratch")  # for rows that don't fit into memory; empty between runs
    locks = _in_home("locks")  # for creating the database, committing to a table, registering a version

    @classmethod
    def from_environment(cls) -> ProjectPaths:
        """The home that ``MARVEL_HOME`` names, else ``.marvel`` beside the package.

        Raises:
            ProjectPathsError: its name has characters that it can't have.
        """
        root = Path(os.environ.get("MARVEL_HOME") or PROJECT_ROOT / ".marvel").expanduser().resolve()
        if unusable := sorted(READ_BY_URLS & set(str(root))):
            raise ProjectPathsError(
                f"MARVEL_HOME is {str(root)!r}; choose a folder without {', '.join(map(repr, unusable))} in its path."
            )
        return cls(root)

    @property
    def mlflow_uri(self) -> str:
        """MLflow's URI of its database."""
        return f"sqlite:///{self.mlflow_database}"

    @property
    def references(self) -> Path:
        """A JSON file per asset: the latest reference that it returned."""
        return self.root / "references" / self.profile / self.environment / self.dataset

    @property
    def last_source(self) -> Path:
        """A JSON file with the source that was last read."""
        return self.root / f"source{self.dataset and f'-{self.dataset}'}.json"

    def prepare(self) -> None:
        """Create Dagster's instance if there is none (Dagster fails if several processes do), and update its settings.

        Raises:
            ProjectPathsError: the folder can't be created.
        """
        try:
            self.dagster.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"can't be created: {error.strerror}; choose another folder."
            raise ProjectPathsError(f"MARVEL_HOME is {str(self.root)!r}, which {problem}") from error
        is_made = self.dagster / ".is_made"
        with file_lock(self.locks, "dagster-instance"):
            with atomic_write(self.dagster / "dagster.yaml") as unfinished:  # other processes may be reading it
                shutil.copyfile(PROJECT_ROOT / "config" / "dagster.yaml", unfinished)
            if not is_made.exists():
                from dagster import AssetKey, DagsterInstance

                with DagsterInstance.from_config(str(self.dagster)) as instance:
                    instance.get_runs(limit=1)
                    instance.all_instigator_state()
                    instance.get_latest_materialization_event(AssetKey("raw_characters"))
                is_made.touch()

    def problems(self, mode: int = os.R_OK | os.W_OK) -> list[str]:
        """What prevents a run here, or with the mode ``os.R_OK`` a command that only reads; empty if nothing does."""
        existing = next(folder for folder in (self.root, *self.root.parents) if os.path.lexists(folder))
        folders = sorted(self.root.glob("*/")) if existing == self.root else []
        for path in (existing, *folders):
            if not (path.is_dir() and os.access(path, mode | os.X_OK)):
                action = "written to" if mode & os.W_OK else "read"
                reason = f"user {os.geteuid()} has no permission, its file system is mounted read-only, or it is a file"
                advice = "Grant this user access, or set MARVEL_HOME to another folder. Nothing was changed."
                return [f"{path} can't be {action}: {reason}. {advice}"]
        free = shutil.disk_usage(existing).free
        if not mode & os.W_OK or free >= FREE_BYTES:
            return []
        problem = (
            f"The disk is full, or nearly: {self.root} has {free / 2**20:,.1f} MB free, and a run needs at least "
            f"{FREE_BYTES >> 20} MB. Free some space, or set MARVEL_HOME to a folder on another disk, and run again: "
            "existing data is intact, and finished work is reused."
        )
        return [problem]


if __name__ == "__main__":
    ProjectPaths.from_environment().prepare()
