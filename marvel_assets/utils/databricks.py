"""Which workspace and credentials the vendor's own variables and configuration file name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databricks.sdk.config import Config

HTTP_SECONDS = 10
"""How long an answer is waited for."""


def databricks_config(profile: str | None = None, retry_seconds: int = 1) -> Config:
    """The workspace, credentials and compute that a profile or the ``DATABRICKS_…`` variables name.

    A workspace that does not answer is no error here: the credentials are not tried.

    Args:
        profile: of the configuration file. Default: the variables, then the file's own default.
        retry_seconds: how long a workspace that does not answer is asked again.

    Raises:
        ValueError: no credentials are named, with the vendor's reason.
    """
    from databricks.sdk.config import Config

    try:
        return Config(profile=profile, http_timeout_seconds=HTTP_SECONDS, retry_timeout_seconds=retry_seconds)
    except ValueError as error:
        raise ValueError(f"Databricks has no credentials to use: {error}") from error
