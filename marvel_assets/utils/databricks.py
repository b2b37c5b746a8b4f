"""The workspace and credentials from Databricks' variables and configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databricks.sdk.config import Config

HTTP_SECONDS = 10
"""How long to wait for an answer."""


def databricks_config(profile: str | None = None, retry_seconds: int = 1) -> Config:
    """The workspace, credentials and compute that a profile or the ``DATABRICKS_…`` variables name.

    A workspace that does not answer is not an error here: the credentials are not tried.

    Args:
        profile: of the configuration file. Default: the variables, then the file's default profile.
        retry_seconds: how long later requests are retried while the workspace does not answer.

    Raises:
        ValueError: no credentials are configured, with Databricks' reason.
    """
    from databricks.sdk.config import Config

    try:
        return Config(profile=profile, http_timeout_seconds=HTTP_SECONDS, retry_timeout_seconds=retry_seconds)
    except ValueError as error:
        raise ValueError(f"Databricks has no credentials to use: {error}") from error
