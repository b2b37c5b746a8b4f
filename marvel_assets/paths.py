"""The folder for everything local: tables, models, catalog, and Dagster's storage."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import file_lock

PROJECT_ROOT = Path(__file__).resolve().parent.parent

READ_BY_URLS = frozenset("?%[]")
"""Characters with a meaning in URLs: SQLite would put a database outside the home, and delta-rs would find no table."""

FREE_BYTES = 100 << 20
"""Free space that a run needs: four times what a run with 92,000 characters writes."""


class ProjectPathsError(ValueError):
    """The folder that MARVEL_HOME names can't be used."""


class _InHome:
    """The path of a file or folder in the home."""

    def __init__(self, relative: str) -> None:
        self._relative = relative

    def __get__(self, home: ProjectPaths, _: type[ProjectPaths]) -> Path:
        return home.root / self._relative


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

    warehouse = _InHome("warehouse")  # Delta tables, at <catalog>/<schema>/<table>
    provenance = _InHome("provenance")  # a JSON file per table that was made again with equal rows
    mlflow_database = _InHome("mlflow/mlflow.db")  # MLflow's tracking store and model registry
    mlflow_artifacts = _InHome("mlflow/artifacts")  # of MLflow's runs and logged models
    dagster = _InHome("dagster")  # Dagster's instance (DAGSTER_HOME)
    pipelines = _InHome("pipelines")  # fitted pipelines as skops files, named by the cache key of the fit
    studies = _InHome("studies")  # of searches for better parameters, named by their cache keys
    wheels = _InHome("wheels")  # inference wheels, whose names hold a hash of their content
    spark = _InHome("spark")  # Delta's jars and the class-data archive for local Spark sessions
    scratch = _InHome("scratch")  # for rows that don't fit into memory; empty between runs
    locks = _InHome("locks")  # for creating the database, committing to a table, registering a version

    @classmethod
    def from_environment(cls) -> ProjectPaths:
        """The home that ``MARVEL_HOME`` names, else ``.marvel`` beside the package.

        Raises:
            ProjectPathsError: its name has characters that it can't have.
        """
        root = Path(os.environ.get("MARVEL_HOME") or PROJECT_ROOT / ".marvel").expanduser().resolve()
        unusable = sorted({letter for letter in str(root) if letter in READ_BY_URLS or not letter.isprintable()})
        if unusable:
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
            self.locks.mkdir(exist_ok=True)
        except OSError as error:
            problem = f"MARVEL_HOME is {str(self.root)[:300]!r}, which can't be created: {error.strerror}"
            raise ProjectPathsError(f"{problem}; choose another folder.") from error
        is_made, instance_settings = self.dagster / ".is_made", self.dagster / "dagster.yaml"
        settings = (PROJECT_ROOT / "config" / "dagster.yaml").read_bytes()
        with file_lock(self.locks, "dagster-instance"):
            # Written only if it differs: a model can be served from a full disk.
            if not (instance_settings.exists() and instance_settings.read_bytes() == settings):
                with atomic_write(instance_settings) as unfinished:  # other processes may be reading it
                    unfinished.write_bytes(settings)
            if not is_made.exists():
                from dagster import AssetKey, DagsterInstance

                with DagsterInstance.from_config(str(self.dagster)) as instance:
                    instance.get_runs(limit=1)
                    instance.all_instigator_state()
                    instance.get_latest_materialization_event(AssetKey("raw_characters"))
                is_made.touch()

    def problems(self) -> list[str]:
        """What prevents a run from writing into the home; empty if it is ready."""
        problems = self.access_problems(os.R_OK | os.W_OK)
        if (free := shutil.disk_usage(_existing(self.root)).free) < FREE_BYTES:
            problems.append(
                f"The disk is full, or nearly: {self.root} has {free / 2**20:,.1f} MB free, and a run needs at least "
                f"{FREE_BYTES >> 20} MB. Free some space, or set MARVEL_HOME to a folder on another disk, and run "
                "again: existing data is intact, and finished work is reused."
            )
        return problems

    def access_problems(self, mode: int) -> list[str]:
        """The first folder or database that this user may not read or write to, by a mode of ``os.access``."""
        if self.root.exists() and not self.root.is_dir():
            return [f"MARVEL_HOME is {str(self.root)!r}, which is not a folder; name another."]
        databases = self.mlflow_database, self.dagster / "history" / "runs.db"
        present = [database for database in databases if os.access(database, os.F_OK)]
        for path in (_existing(self.root), *sorted(self.root.glob("*/")), *present):
            if not os.access(path, mode | (os.X_OK if path.is_dir() else 0)):
                action = "written to" if mode & os.W_OK else "read"
                reason = f"user {os.geteuid()} has no permission, or its file system is mounted read-only"
                advice = "Grant this user access, or set MARVEL_HOME to another folder. Nothing was changed."
                return [f"{path} can't be {action}: {reason}. {advice}"]
        return []


def _existing(path: Path) -> Path:
    """The path itself, else the folder in which it would be created."""
    return next(folder for folder in (path, *path.parents) if os.path.lexists(folder))


if __name__ == "__main__":
    try:
        ProjectPaths.from_environment().prepare()
    except ProjectPathsError as problem:
        sys.exit(str(problem))
