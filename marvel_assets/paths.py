"""The one folder that holds everything local: tables, models, catalog, and Dagster's own storage."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from marvel_assets.utils.files import atomic_write
from marvel_assets.utils.locks import exclusive

PROJECT_ROOT = Path(__file__).resolve().parent.parent

READ_BY_URLS = frozenset("?%[]")
"""Characters of a path that mean something else in URLs: SQLite would put a database outside the home, and delta-rs
would find no table in it."""


class ProjectPathsError(ValueError):
    """MARVEL_HOME names no folder that can be a home."""


@dataclass(frozen=True)
class ProjectPaths:
    """Where each part of the local state lives under ``MARVEL_HOME`` (default ``.marvel`` in the project).

    Deleting ``root`` is a clean start.

    Attributes:
        root: the folder.
        dataset: what ``MARVEL_DATASET`` says: each data set has references and a last source of its own.
        profile: what ``MARVEL_PROFILE`` says. Tables and models on Databricks are others than those in the home, and
            so are the references to them.
    """

    root: Path
    dataset: str = ""
    profile: str = ""

    @classmethod
    def from_environment(cls) -> ProjectPaths:
        """The home that ``MARVEL_HOME`` names, else ``.marvel`` beside the package.

        Raises:
            ProjectPathsError: a folder of that name can't be a home.
        """
        named = os.environ.get("MARVEL_HOME") or PROJECT_ROOT / ".marvel"
        try:
            root = Path(named).expanduser().resolve()
        except (RuntimeError, OSError) as error:
            raise ProjectPathsError(f"MARVEL_HOME is {str(named)[:300]!r}: {error}") from error
        unusable = sorted({letter for letter in str(root) if letter in READ_BY_URLS or not letter.isprintable()})
        if unusable:
            raise ProjectPathsError(
                f"MARVEL_HOME is {str(root)!r}; choose a folder without {', '.join(map(repr, unusable))} in its path."
            )
        return cls(root, os.environ.get("MARVEL_DATASET") or "", os.environ.get("MARVEL_PROFILE") or "")

    @property
    def warehouse(self) -> Path:
        """Delta tables, at ``<catalog>/<schema>/<table>``."""
        return self.root / "warehouse"

    @property
    def mlflow_database(self) -> Path:
        """MLflow's tracking store and model registry (SQLite)."""
        return self.root / "mlflow" / "mlflow.db"

    @property
    def mlflow_uri(self) -> str:
        """The address of that database, as MLflow takes it."""
        return f"sqlite:///{self.mlflow_database}"

    @property
    def mlflow_artifacts(self) -> Path:
        """What MLflow's runs and logged models store."""
        return self.root / "mlflow" / "artifacts"

    @property
    def references(self) -> Path:
        """One JSON file for each asset: the reference that it last handed on."""
        return self.root / "references" / ("databricks" if self.profile == "databricks" else "") / self.dataset

    @property
    def provenance(self) -> Path:
        """One JSON file for each table that was made again with equal rows: of what, the last time."""
        return self.root / "provenance"

    @property
    def pipelines(self) -> Path:
        """Fitted pipelines as skops files, each under the cache key that it was fitted by."""
        return self.root / "pipelines"

    @property
    def studies(self) -> Path:
        """Searches for better parameters, each in a file under what decides it."""
        return self.root / "studies"

    @property
    def wheels(self) -> Path:
        """Inference wheels, each under a name that holds its content's hash."""
        return self.root / "wheels"

    @property
    def spark(self) -> Path:
        """Delta's jars for local Spark sessions, and what lets these start fast."""
        return self.root / "spark"

    @property
    def scratch(self) -> Path:
        """Space for what does not fit into memory while tables are made; empty between runs."""
        return self.root / "scratch"

    @property
    def last_source(self) -> Path:
        """Which source was last read."""
        return self.root / f"source{self.dataset and f'-{self.dataset}'}.json"

    @property
    def written_to_by_runs(self) -> tuple[Path, ...]:
        """Folders in which a run that is killed may leave something unfinished."""
        return self.scratch, self.pipelines, self.wheels, self.references, self.provenance

    @property
    def locks(self) -> Path:
        """Lock files: who may create the database, commit to a table, register a version."""
        return self.root / "locks"

    @property
    def dagster(self) -> Path:
        """Dagster's instance (``DAGSTER_HOME``)."""
        return self.root / "dagster"

    def prepare(self) -> None:
        """Create Dagster's instance where there is none, and bring its settings up to date.

        Its database is made by one process alone: Dagster's own first start fails where several start at once.

        Raises:
            ProjectPathsError: the folder can't be made.
        """
        try:
            self.dagster.mkdir(parents=True, exist_ok=True)
            self.locks.mkdir(exist_ok=True)
        except OSError as error:
            raise ProjectPathsError(
                f"MARVEL_HOME is {str(self.root)[:300]!r}, and {error.strerror} there; name a folder that can be made."
            ) from error
        is_made = self.dagster / ".is_made"
        with exclusive(self.locks, "dagster-instance"):
            settings = (PROJECT_ROOT / "config" / "dagster.yaml").read_bytes()
            instance_settings = self.dagster / "dagster.yaml"
            if not (instance_settings.exists() and instance_settings.read_bytes() == settings):
                with atomic_write(instance_settings) as aside:  # in one move: others may be reading it
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
