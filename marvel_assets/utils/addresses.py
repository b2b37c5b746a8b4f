"""Addresses that are taken from the environment, and then shown: in run configurations, logs and pages."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from marvel_assets.config import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

WEB = frozenset({"http", "https"})
HOST = re.compile(r"[\w.:-]+")
SHOWN_IN_CONNECT_URLS = frozenset(
    {"use_ssl", "user_id", "user_agent", "session_id", "x-databricks-cluster-id", "grpc_max_message_size"}
)
"""Parameters of a Spark Connect address that hold no secret. All others are sent as headers, and may."""

SECRET_KEY = re.compile(
    r"secret|password|passwd|token|credential|access[._-]?key|account[._-]?key|sas[._-]", re.IGNORECASE
)
"""As Spark itself knows the settings that it redacts, and what storage clients call theirs."""

CREDENTIALS = re.compile(r"://[^/\s@]*@")


def shown_address(variable: str, for_secrets: str, schemes: Collection[str] = WEB) -> str | None:
    """The address that a variable holds, if everybody may see it.

    Args:
        variable: its name.
        for_secrets: where a name, a password or a token belongs.
        schemes: of the addresses that are taken.

    Raises:
        ConfigError: it is no such address, or holds a secret. What it holds is not told.
    """
    address = os.environ.get(variable)
    if not address:
        return None
    expected = f"{variable} is no address such as https://server:8080 ({', '.join(sorted(filter(None, schemes)))})."
    try:
        parts = urlsplit(address)
        is_odd = parts.port == 0 or (parts.scheme in WEB and not HOST.fullmatch(parts.hostname or ""))
    except ValueError:  # a bracket without an end, a port that is none; the text repeats the address
        raise ConfigError(expected) from None
    # A database's user, or a container in the place of one, may be seen; a web server's may be a token.
    is_user_shown = parts.scheme and parts.scheme not in WEB
    if parts.password is not None or ("@" in address and not is_user_shown):
        raise ConfigError(f"{variable} holds a password, which would be shown; put it into {for_secrets}.")
    if parts.query or parts.fragment:
        raise ConfigError(
            f"{variable} goes on after its path, and all of it would be shown; put what is secret into {for_secrets}."
        )
    if parts.scheme.partition("+")[0] not in schemes or is_odd:
        raise ConfigError(expected)
    return address


def shown_connect_url(variable: str) -> str | None:
    """The address of a Spark Connect server that a variable holds, if everybody may see it.

    Raises:
        ConfigError: it holds what may be a secret, which is not told.
    """
    address = os.environ.get(variable)
    if address and (problem := hidden_in(address)):
        raise ConfigError(f"{variable} {problem}")
    return address or None


def hidden_in(connect_url: str) -> str | None:
    """What may be secret in the address of a Spark Connect server, in words that don't tell it."""
    address, *parameters = connect_url.split(";")
    secret = sorted({part.partition("=")[0] for part in parameters} - SHOWN_IN_CONNECT_URLS)
    if not secret and "@" not in address and "?" not in address:
        return None
    what = ", ".join(name if name.isidentifier() else "a parameter" for name in secret) or "a password"
    return (
        f"holds {what}, which would be shown in logs and pages; put a token into SPARK_CONNECT_AUTHENTICATE_TOKEN. It "
        f"is sc://host:port, and may have {', '.join(sorted(SHOWN_IN_CONNECT_URLS))}."
    )


def shown_settings(variable: str, given: Iterable[str]) -> dict[str, str]:
    """Settings of Spark as ``key=value``, if everybody may see them.

    Raises:
        ConfigError: naming what is no setting, or holds what may be a secret; no value is told.
    """
    pairs = [setting.partition("=") for setting in given]
    for key, _, value in pairs:
        if SECRET_KEY.search(key) or CREDENTIALS.search(value):
            raise ConfigError(
                f"{variable}: {key.partition('://')[0]!r} holds a secret, which would be shown; put it into the "
                "storage client's own variables (such as AWS_SECRET_ACCESS_KEY), or into a spark-defaults.conf under "
                "SPARK_CONF_DIR."
            )
    for key, equals, _ in pairs:
        if not key.startswith("spark.") or not equals:
            raise ConfigError(f"{variable}: {key!r} is no setting such as spark.driver.memory=8g.")
    return {key: value for key, _, value in pairs}
