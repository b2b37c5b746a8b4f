"""The workspace and credentials from Databricks' variables and configuration file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databricks.sdk.config import Config

HTTP_SECONDS = 10


def databricks_config(profile: str | None = None, retry_seconds: int = 1) -> Config:
    """The workspace, credentials and compute of a profile, or else of the variables or the file's default profile.

    A workspace that does not answer is not an error here: the credentials are not tried.

    Args:
        profile: of the configuration file.
        retry_seconds: how long later requests are retried while the workspace does not answer.

    Raises:
        ValueError: no credentials are configured, with Databricks' reason.
    """
    from databricks.sdk.config import Config

    try:
        return Config(profile=profile, http_timeout_seconds=HTTP_SECONDS, retry_timeout_seconds=retry_seconds)
    except ValueError as error:
        raise ValueError(f"Databricks has no credentials to use: {error}") from error
