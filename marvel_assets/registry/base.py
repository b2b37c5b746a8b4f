"""The interface of model registries, in MLflow's words, and what all backends share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from marvel_assets.utils.locks import file_lock

if TYPE_CHECKING:
    import mlflow

READY = "READY"


class RegistryError(RuntimeError):
    """The registry can't do what was asked; the text names the object and what to do."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a registered model, ``catalog.schema.model``; it can be loaded if its status is READY.

    ``model_id`` is MLflow's id of its logged model, and ``run_id`` the MLflow run that logged that.
    """

    name: str
    version: int
    model_id: str
    run_id: str
    status: str
    tags: Mapping[str, str]
    description: str


class ModelRegistry(ABC):
    """Registered models under three-level names (``catalog.schema.model``), with aliases and tags."""

    def __init__(self, client: "mlflow.MlflowClient", locks: Path) -> None:
        self._client = client
        self.locks = locks

    def register(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> ModelVersion:
        """Register the logged model ``models:/<model_id>``, or find its version: it never gets a second one.

        What is missing of ``catalog.schema.model`` is created. A version that is found keeps its tags and description.
        """
        with file_lock(self.locks, f"model-{name}"):
            for known in self.search_versions(name, model_id=model_id):
                if known.status == READY:
                    return known
                # Only one run registers at a time: the one that left this version died, and it would never be READY.
                self._delete_version(known)
            self.ensure_model(name)
            made = self._create_version(name, model_id, tags, description)
            # MLflow repeats a request whose answer was lost, and another home may have registered the model, too.
            same = {each.version: each for each in (*self.search_versions(name, model_id=model_id), made)}
            first, *others = sorted(same.values(), key=lambda each: (each.status != READY, each.version))
            for other in others:
                self._delete_version(other)
            return first

    def search_versions(self, name: str, *, model_id: str | None = None) -> list[ModelVersion]:
        """All versions of a model, or only those of one logged model, the newest first; empty if there is no model."""
        found = [version for version in self._list_versions(name) if model_id in {None, version.model_id}]
        return sorted(found, key=lambda version: version.version, reverse=True)

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version, if there is one and it is READY."""
        found = self.get_version(name, version)
        if found is None or found.status != READY:
            problem = f"is {found.status}, expected {READY}" if found else "does not exist"
            raise RegistryError(
                f"{name} version {version} {problem}; the alias {alias} was not moved. Run again: the model gets a new "
                "version."
            )
        self._set_alias(name, alias, version)

    @abstractmethod
    def ensure_model(self, name: str) -> None:
        """Create what is missing of catalog, schema and model; a RegistryError names what is refused."""

    @abstractmethod
    def get_version(self, name: str, version: int) -> ModelVersion | None:
        """One version of a model by its number, or None."""

    @abstractmethod
    def get_version_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that an alias points at, or None."""

    @abstractmethod
    def set_tags(self, name: str, version: int, tags: Mapping[str, str], description: str | None = None) -> None:
        """Add or change tags of a version, and replace its description if one is given."""

    @abstractmethod
    def _list_versions(self, name: str) -> Iterable[ModelVersion]:
        """All versions of a model; none if there is no model."""

    @abstractmethod
    def _create_version(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> ModelVersion:
        """Create a version of a logged model, with its files."""

    @abstractmethod
    def _delete_version(self, version: ModelVersion) -> None:
        """Delete a version that no alias points at."""

    @abstractmethod
    def _set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version without checking it."""
