"""What moves between assets: a name and a version, never "latest", as small frozen values that are stored as JSON."""

from __future__ import annotations

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class TableVersion:
    """One immutable version of a Delta table.

    Attributes:
        name: ``catalog.schema.table``.
        version: the Delta version that holds these rows.
        rows: how many there are.
        content: hash of the rows, regardless of their order and of when they were written.
    """

    name: str
    version: int
    rows: int
    content: str

    @property
    def data_version(self) -> str:
        """By which Dagster knows what is unchanged: equal also where a later version restored the content."""
        return self.content

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"


@dataclass(frozen=True)
class LoggedModelRef:
    """A model logged in MLflow: its name within its run, its id (``m-…``), the run, and the experiment's name."""

    name: str
    model_id: str
    run_id: str
    experiment: str

    @property
    def uri(self) -> str:
        """The URI from which MLflow loads the model: ``models:/<model_id>``."""
        return f"models:/{self.model_id}"


@dataclass(frozen=True)
class ModelVersionRef:
    """A version of the model ``catalog.schema.model``, the logged model that it was registered from, and its alias."""

    name: str
    version: int
    model_id: str
    alias: str

    @property
    def data_version(self) -> str:
        """The registered name and the version number."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class WheelRef:
    """The wheel that scoring environments install.

    Attributes:
        path: the file's name in the folder of the wheels.
        sha256: of the file.
        content: hash of the sources and requirements that it was built from; part of the file's name.
    """

    path: str
    sha256: str
    content: str


@dataclass(frozen=True)
class FittedPipelineRef:
    """A fitted pipeline in the cache, by the hash of all that decided the fit."""

    cache_key: str


Reference = TableVersion | FittedPipelineRef | LoggedModelRef | ModelVersionRef | WheelRef

_REFERENCES: TypeAdapter[Reference] = TypeAdapter(Reference)
"""Which kind a reference in JSON is, its fields show."""


def to_json(reference: Reference) -> str:
    """The reference as JSON."""
    return _REFERENCES.dump_json(reference, indent=2).decode()


def from_json(text: str) -> Reference:
    """The reference that ``to_json`` wrote.

    Raises:
        pydantic.ValidationError: the text isn't a reference; a ``ValueError`` that names the fields.
    """
    return _REFERENCES.validate_json(text, strict=True)
