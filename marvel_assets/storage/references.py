"""What moves between assets: a name and a version, never "latest".

Every reference is a small frozen value that is stored as JSON. Equal ``data_version``s mean that what they refer to is
the same, so that Dagster knows what is unchanged.
"""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter
from pydantic.dataclasses import dataclass

FORBID_EXTRA = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=FORBID_EXTRA)
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
    kind: Literal["TableVersion"] = field(default="TableVersion", kw_only=True, repr=False)

    @property
    def data_version(self) -> str:
        """The content: equal also where a later version restored it."""
        return self.content

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"


@dataclass(frozen=True, config=FORBID_EXTRA)
class LoggedModelRef:
    """A model logged in MLflow.

    Attributes:
        name: the model's name within its run.
        model_id: MLflow's id (``m-…``).
        run_id: the MLflow run that logged it.
        experiment: the experiment's name.
    """

    name: str
    model_id: str
    run_id: str
    experiment: str
    kind: Literal["LoggedModelRef"] = field(default="LoggedModelRef", kw_only=True, repr=False)

    @property
    def data_version(self) -> str:
        """The logged model's id."""
        return self.model_id

    @property
    def uri(self) -> str:
        """The URI from which MLflow loads the model: ``models:/<model_id>``."""
        return f"models:/{self.model_id}"


@dataclass(frozen=True, config=FORBID_EXTRA)
class ModelVersionRef:
    """A registered model version.

    Attributes:
        name: ``catalog.schema.model``.
        version: its number in the registry.
        model_id: the logged model that it was registered from.
        alias: the alias that was set to it.
    """

    name: str
    version: int
    model_id: str
    alias: str
    kind: Literal["ModelVersionRef"] = field(default="ModelVersionRef", kw_only=True, repr=False)

    @property
    def data_version(self) -> str:
        """The registered name and the version number."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, config=FORBID_EXTRA)
class WheelRef:
    """The wheel that scoring environments install.

    Attributes:
        path: the file's name in the folder of the wheels; older references have the absolute path.
        sha256: of the file.
        content: hash of the sources and requirements that it was built from; part of the file's name.
    """

    path: str
    sha256: str
    content: str
    kind: Literal["WheelRef"] = field(default="WheelRef", kw_only=True, repr=False)

    @property
    def data_version(self) -> str:
        """The hash of the wheel's content."""
        return self.content


@dataclass(frozen=True, config=FORBID_EXTRA)
class FittedPipelineRef:
    """A fitted pipeline in the cache.

    Attributes:
        cache_key: hash of all that decided the fit.
    """

    cache_key: str
    kind: Literal["FittedPipeline"] = field(default="FittedPipeline", kw_only=True, repr=False)

    @property
    def data_version(self) -> str:
        """The cache key."""
        return self.cache_key


Reference = TableVersion | FittedPipelineRef | LoggedModelRef | ModelVersionRef | WheelRef

_REFERENCES: TypeAdapter[Reference] = TypeAdapter(Annotated[Reference, Field(discriminator="kind")])


def to_json(reference: Reference) -> str:
    """The reference as JSON, its kind included."""
    return _REFERENCES.dump_json(reference, indent=2).decode()


def from_json(text: str) -> Reference:
    """The reference that ``to_json`` wrote.

    Raises:
        pydantic.ValidationError: the text isn't a reference of a known kind; a ``ValueError`` that names the field.
    """
    return _REFERENCES.validate_json(text, strict=True)
