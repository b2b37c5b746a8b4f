"""What moves between assets: a name and a version, never "latest", as small frozen values that are stored as JSON."""

from pathlib import Path

import dagster as dg
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from marvel_assets.utils.files import atomic_write


@dataclass(frozen=True)
class TableVersion:
    """One immutable version of a Delta table.

    Attributes:
        name: ``catalog.schema.table``, or the folder that a run recorded.
        content: hash of the rows, regardless of their order and of when they were written.
    """

    name: str
    version: int
    rows: int
    content: str

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
        """The URI from which MLflow loads the model."""
        return f"models:/{self.model_id}"


@dataclass(frozen=True)
class ModelVersionRef:
    """A version of the model ``catalog.schema.model``, and the logged model that it was registered from."""

    name: str
    version: int
    model_id: str

    @property
    def data_version(self) -> str:
        """The registered name and the version number."""
        return f"{self.name}/{self.version}"


@dataclass(frozen=True)
class WheelRef:
    """The wheel that scoring environments install: the name of its file, and a hash of what it was built from."""

    path: str
    content: str


@dataclass(frozen=True)
class FittedPipelineRef:
    """A fitted pipeline in the cache, by the hash of all that decided the fit."""

    cache_key: str


Reference = TableVersion | FittedPipelineRef | LoggedModelRef | ModelVersionRef | WheelRef

_REFERENCES: TypeAdapter[Reference] = TypeAdapter(Reference)


def to_json(reference: Reference) -> str:
    """The reference as JSON."""
    return _REFERENCES.dump_json(reference, indent=2).decode()


def from_json(text: str) -> Reference:
    """The reference that ``to_json`` wrote; which kind it is, its fields show."""
    return _REFERENCES.validate_json(text, strict=True)


class ReferenceIOManager(dg.ConfigurableIOManager):
    """Stores the latest reference that each asset returned in ``<folder>/<asset>.json``."""

    folder: str = Field(description="Folder of the reference files.")

    def handle_output(self, context: dg.OutputContext, obj: Reference) -> None:
        """Store the reference that the asset returned."""
        self.store(context.asset_key, obj)

    def store(self, key: dg.AssetKey, reference: Reference) -> None:
        """Store the reference that downstream assets load from now on."""
        with atomic_write(self._file(key)) as file:
            file.write_text(to_json(reference), encoding="utf-8")

    def load_input(self, context: dg.InputContext) -> Reference:
        """Read the reference that the upstream asset returned."""
        file = self._file(context.asset_key)
        try:
            return from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise not_materialised(context.asset_key, file) from error

    def _file(self, key: dg.AssetKey) -> Path:
        return Path(self.folder, f"{key.to_user_string()}.json")


def not_materialised(key: dg.AssetKey, file: Path) -> dg.Failure:
    """The failure of an asset whose input does not exist yet."""
    name = key.to_user_string()
    return dg.Failure(
        f"{name} has not been materialised in this home (no {file}); materialise it first, or everything upstream "
        f"with: dagster asset materialize -m marvel_assets.definitions --select '*{name}'"
    )
