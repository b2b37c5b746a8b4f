"""The requirements of logged models."""

from __future__ import annotations

from importlib.metadata import requires, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def requirements_with(wheel: Path) -> list[str]:
    """What a scoring environment installs: this package's base dependencies at the installed versions, and its wheel.

    The wheel must also be in the model's ``code_paths``, from where it is installed.
    """
    from packaging.requirements import Requirement

    names = sorted(Requirement(line).name for line in requires("marvel-assets") or [] if "extra ==" not in line)
    return [*(f"{name}=={version(name)}" for name in names), f"code/{wheel.name}"]
