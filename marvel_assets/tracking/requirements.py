"""What logged models require."""

from __future__ import annotations

from importlib.metadata import requires, version


def base_requirements() -> list[str]:
    """What a scoring environment installs: this package's base dependencies, at the versions that are here."""
    declared = [line for line in requires("marvel-assets") or [] if "extra ==" not in line]
    names = sorted(line.split(";")[0].split("<")[0].split("=")[0].split(">")[0].strip() for line in declared)
    return [f"{name}=={version(name)}" for name in names]
