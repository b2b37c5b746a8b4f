"""What logged models require."""

from __future__ import annotations

from importlib.metadata import requires, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def requirements_with(wheel: Path) -> list[str]:
    """What a scoring environment installs: this package's base dependencies at the versions here, and its wheel.

    The wheel goes along among the model's ``code_paths``; else it would not be there to be installed.
    """
    from packaging.requirements import Requirement

    names = sorted(Requirement(line).name for line in requires("marvel-assets") or [] if "extra ==" not in line)
    return [*(f"{name}=={version(name)}" for name in names), f"code/{wheel.name}"]
