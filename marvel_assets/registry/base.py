"""What every backend of the model catalog can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

READY = "READY"
MODELS_URI = "models:/"
THREE_LEVELS = 3
POLL_SECONDS = 0.2


class CatalogError(RuntimeError):
    """The catalog can't do what was asked; the text names the object and a way out."""


class CatalogUnavailableError(CatalogError):
    """The catalog does not answer, or not now: nothing is told of what was asked."""


@dataclass(frozen=True)
class CatalogVersion:
    """One version of a registered model, as the catalog tells it.

    Attributes:
        name: ``catalog.schema.model``.
        version: its number.
        model_id: MLflow's id of the logged model that it was made of.
        run_id: the MLflow run that logged that model.
        status: ``READY`` where it can be loaded.
        tags: by name.
        description: for people.
    """

    name: str
    version: int
    model_id: str
    run_id: str
    status: str
    tags: Mapping[str, str]
    description: str = ""


class ModelCatalog(Protocol):
    """Registered models under three-level names, with aliases and tags."""

    def ensure_schema(self, catalog: str, schema: str) -> None:
        """Make sure that models can be registered under ``catalog.schema``."""

    def register(self, name: str, model_id: str, tags: Mapping[str, str], description: str) -> CatalogVersion:
        """Make a version of a logged model; the same model id never makes a second one."""

    def wait_until_ready(self, name: str, version: int, seconds: float) -> CatalogVersion:
        """Return when the version can be loaded, or raise CatalogError."""

    def set_alias(self, name: str, alias: str, version: int) -> None:
        """Point an alias at a version that is READY."""

    def delete_alias(self, name: str, alias: str) -> None:
        """Remove an alias; nothing happens where there is none."""

    def version_under(self, name: str, alias: str) -> CatalogVersion | None:
        """The version that an alias points at."""

    def models(self, catalog: str, schema: str) -> Sequence[str]:
        """The full names of the models in a schema, in order; none where there is no such schema."""

    def find_version(self, name: str, number: int) -> CatalogVersion | None:
        """One version of a model, asked for by its number; None where there is no such version."""

    def versions(self, name: str, *, model_id: str | None = None) -> Sequence[CatalogVersion]:
        """All versions of a model, or of one logged model, the newest first; none where there is no such model."""

    def versions_tagged(self, name: str, key: str, value: str) -> Sequence[CatalogVersion]:
        """The versions of a model that carry a tag, the newest first."""

    def set_tags(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Add tags to a version, or change them."""

    def set_description(self, name: str, version: int, description: str) -> None:
        """Describe a version anew."""


def check_three_levels(name: str) -> str:
    """The name itself, where it has three levels and no quote that would end a search condition.

    Raises:
        CatalogError: it is no ``catalog.schema.model``.
    """
    levels = name.split(".")
    if len(levels) != THREE_LEVELS or not all(levels) or "'" in name:
        raise CatalogError(f"{name!r} is no catalog.schema.model; name all three levels.")
    return name


def ready(look: Callable[[], CatalogVersion], seconds: float) -> CatalogVersion:
    """Look at a version until it is READY.

    Raises:
        CatalogError: it is not READY in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found.status == READY:
            return found
        if time.monotonic() > deadline:
            raise CatalogError(
                f"{found.name} version {found.version} is {found.status} after {seconds:g} s, expected {READY}; "
                "the alias was not moved. Run again when the registry has finished."
            )
        time.sleep(POLL_SECONDS)
