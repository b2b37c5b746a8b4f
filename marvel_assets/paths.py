"""The folder for everything local: tables, models, catalog, and Dagster's storage."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import exclusive

PROJECT_ROOT = Path(__file__).resolve().parent.parent

READ_BY_URLS = frozenset("?%[]")
"""Characters with a meaning in URLs: SQLite would put a database outside the home, and delta-rs would find no table."""


class ProjectPathsError(ValueError):
    """The folder that MARVEL_HOME names can't be used."""


class _InHome:
    """The path of a file or folder in the home."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, home: ProjectPaths, _: type[ProjectPaths]) -> Path:
        return home.root.joinpath(*self._parts)


@dataclass(frozen=True)
class ProjectPaths:
    """The paths of all local state, under ``MARVEL_HOME`` (default ``.marvel`` in the project).

    Delete ``root`` for a clean start.

    Attributes:
        root: the folder.
        dataset: each data set has its own references and last source; '' for the default one.
        environment: each environment has its own references; '' for dev.
        profile: the value of ``MARVEL_PROFILE``: references to tables and models on Databricks are kept apart from
            those in the home.
    """

    root: Path
    dataset: str = ""
    environment: str = ""
    profile: str = ""

    warehouse = _InHome("warehouse")  # Delta tables, at <catalog>/<schema>/<table>
    provenance = _InHome("provenance")  # a JSON file per table that was made again with equal rows
    mlflow_database = _InHome("mlflow", "mlflow.db")  # MLflow's tracking store and model registry
    mlflow_artifacts = _InHome("mlflow", "artifacts")  # of MLflow's runs and logged models
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
        return cls(root, profile=os.environ.get("MARVEL_PROFILE") or "")

    @property
    def mlflow_uri(self) -> str:
        """MLflow's URI of its database."""
        return f"sqlite:///{self.mlflow_database}"

    @property
    def references(self) -> Path:
        """A JSON file per asset: the latest reference that it returned."""
        profile = "databricks" if self.profile == "databricks" else ""
        return self.root / "references" / profile / self.environment / self.dataset

    @property
    def last_source(self) -> Path:
        """A JSON file with the source that was last read."""
        return self.root / f"source{self.dataset and f'-{self.dataset}'}.json"

    @property
    def written_to_by_runs(self) -> tuple[Path, ...]:
        """Folders in which a killed run may leave temporary files."""
        return self.scratch, self.pipelines, self.wheels, self.references, self.provenance

    def prepare(self) -> None:
        """Create Dagster's instance if there is none, and update its settings.

        Only one process creates the database: Dagster fails if several start it at the same time.

        Raises:
            ProjectPathsError: the folder can't be created.
        """
        try:
            self.dagster.mkdir(parents=True, exist_ok=True)
            self.locks.mkdir(exist_ok=True)
        except OSError as error:
            raise ProjectPathsError(
                f"MARVEL_HOME is {str(self.root)[:300]!r}, which can't be created: {error.strerror}; choose another "
                "folder."
            ) from error
        is_made, instance_settings = self.dagster / ".is_made", self.dagster / "dagster.yaml"
        with exclusive(self.locks, "dagster-instance"):
            settings = (PROJECT_ROOT / "config" / "dagster.yaml").read_bytes()
            if not (instance_settings.exists() and instance_settings.read_bytes() == settings):
                with atomic_write(instance_settings) as aside:  # other processes may be reading it
                    aside.write_bytes(settings)
            if not is_made.exists():
                from dagster import AssetKey, DagsterInstance

                with DagsterInstance.from_config(str(self.dagster)) as instance:
                    instance.get_runs(limit=1)
                    instance.all_instigator_state()
                    instance.get_latest_materialization_event(AssetKey("raw_characters"))
                is_made.touch()


if __name__ == "__main__":
    try:
        ProjectPaths.from_environment().prepare()
    except ProjectPathsError as problem:
        sys.exit(str(problem))
