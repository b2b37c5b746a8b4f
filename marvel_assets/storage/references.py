"""What moves between assets: a name and a version, never "latest".

Every reference is a small frozen value that is stored as JSON. Its ``data_version`` is equal exactly where the
thing referred to is the same, so that Dagster sees what is unchanged.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True)
class TableVersion:
    """One immutable version of a Delta table.

    Attributes:
        name: ``catalog.schema.table``.
        version: the Delta version that holds these rows.
        rows: how many there are.
        content: hash of the rows, whatever their order and whenever they were written.
    """

    name: str
    version: int
    rows: int
    content: str

    @property
    def data_version(self) -> str:
        """Equal for equal content, also where a later version brought that content back."""
        return self.content

    def __str__(self) -> str:
        return f"{self.name}@v{self.version}"


@dataclass(frozen=True)
class LoggedModelRef:
    """A model logged in MLflow.

    Attributes:
        name: the model's name within its run.
        model_id: MLflow's id (``m-…``), good for ``models:/<model_id>``.
        run_id: the MLflow run that logged it.
        experiment: the experiment's name.
    """

    name: str
    model_id: str
    run_id: str
    experiment: str

    @property
    def data_version(self) -> str:
        """The model's id."""
        return self.model_id

    @property
    def uri(self) -> str:
        """Where MLflow loads it from."""
        return f"models:/{self.model_id}"


@dataclass(frozen=True)
class ModelVersionRef:
    """A registered model version.

    Attributes:
        name: ``catalog.schema.model``.
        version: its number in the registry.
        model_id: the logged model that it was made of.
        alias: the alias that was set to it.
    """

    name: str
    version: int
    model_id: str
    alias: str

    @property
    def data_version(self) -> str:
        """Name and number."""
        return f"{self.name}/{self.version}"

    @property
    def uri(self) -> str:
        """Where MLflow loads exactly this version from."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True)
class WheelRef:
    """The wheel that scoring environments install.

    Attributes:
        path: the wheel's file.
        sha256: of the file.
        content: hash of the sources and requirements that it was built of; part of the file's name.
    """

    path: str
    sha256: str
    content: str

    @property
    def data_version(self) -> str:
        """The hash of its content."""
        return self.content


Reference = TableVersion | LoggedModelRef | ModelVersionRef | WheelRef

_KINDS: dict[str, type[Reference]] = {
    kind.__name__: kind for kind in (TableVersion, LoggedModelRef, ModelVersionRef, WheelRef)
}


def to_json(reference: Reference) -> str:
    """The reference as JSON, its kind included."""
    return json.dumps({"kind": type(reference).__name__, **asdict(reference)}, indent=2)


def from_json(text: str) -> Reference:
    """The reference that ``to_json`` wrote.

    Raises:
        ValueError: the text isn't a reference of a known kind.
    """
    expected = f"expected one of {', '.join(_KINDS)} as JSON, found: {text[:200]}"
    try:
        content: Any = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(expected) from error
    if not isinstance(content, dict) or str(content.get("kind")) not in _KINDS:
        raise ValueError(expected)
    kind = _KINDS[content.pop("kind")]
    try:
        reference = kind(**content)
    except TypeError as error:
        raise ValueError(f"this JSON is no {kind.__name__}: {error}") from error
    wrong = [field.name for field in fields(kind) if type(content[field.name]).__name__ != field.type]
    if wrong:
        raise ValueError(f"this JSON is no {kind.__name__}: {', '.join(wrong)} of another type, in: {text[:200]}")
    return reference
