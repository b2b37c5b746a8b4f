"""References between assets, as JSON."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from pydantic import Field

from marvel_assets.storage.references import Reference, from_json, to_json
from marvel_assets.utils.files import atomic_write


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
        """Read the reference that the upstream asset returned.

        Raises:
            dagster.Failure: that asset has not been materialised yet.
        """
        file = self._file(context.asset_key)
        try:
            return from_json(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise not_materialised(context.asset_key, file) from error

    def _file(self, key: dg.AssetKey) -> Path:
        return Path(self.folder, f"{key.to_user_string()}.json")


def not_materialised(key: dg.AssetKey, file: Path) -> dg.Failure:
    """The failure of an asset whose input does not exist yet."""
    return dg.Failure(
        f"{key.to_user_string()} has not been materialised in this home (no {file}); materialise it first, "
        f"or everything upstream with: dagster asset materialize -m marvel_assets.definitions "
        f"--select '*{key.to_user_string()}'",
    )
