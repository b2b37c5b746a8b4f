"""The home's disk, as a resource that says whether a run can keep there what it makes."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from pydantic import Field

from marvel_assets.paths import ProjectPaths
from marvel_assets.utils import disk_space as room


class Room(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Looks at the folder that holds everything."""

    root: str = Field(description="The home: MARVEL_HOME.")

    def problems(self) -> list[str]:
        """What keeps a run from writing there."""
        return room.problems(ProjectPaths(Path(self.root)))
