"""The project's configuration as a resource."""

from __future__ import annotations

import os
from functools import cached_property

import dagster as dg
from pydantic import Field

from marvel_assets.config import ProjectConfig
from marvel_assets.paths import PROJECT_ROOT


class Project(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Environment, names, features and parameters."""

    environment: str = Field(default="dev", description="dev, acc or prd. Default: $MARVEL_ENV, else dev.")
    config_path: str = Field(
        default=str(PROJECT_ROOT / "config" / "project.yml"),
        description="The project's YAML file. Default: $MARVEL_CONFIG, else config/project.yml.",
    )

    @classmethod
    def from_environment(cls) -> Project:
        """The project that MARVEL_ENV and MARVEL_CONFIG describe."""
        chosen = {
            "environment": os.environ.get("MARVEL_ENV"),
            "config_path": os.environ.get("MARVEL_CONFIG"),
        }
        return cls(**{name: value for name, value in chosen.items() if value})

    @cached_property
    def config(self) -> ProjectConfig:
        """The settings of the environment.

        Raises:
            ConfigError: naming file and key.
        """
        return ProjectConfig.from_yaml(self.config_path, self.environment)
