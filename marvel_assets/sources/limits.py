"""What a source behind a URL may be: from which hosts, how large, how slow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self

from marvel_assets.sources.errors import SourceError

HOSTS, MAX_BYTES, MAX_SECONDS = "MARVEL_SOURCE_HOSTS", "MARVEL_SOURCE_MAX_BYTES", "MARVEL_SOURCE_MAX_SECONDS"

MOST_BYTES = 2 << 30
MOST_SECONDS = 1800


@dataclass(frozen=True)
class Limits:
    """The limits of a download.

    Attributes:
        hosts: the only hosts that are asked, redirects included; any where there is none.
        max_bytes: of the file, unpacked where the server sends it packed.
        max_seconds: from the first look-up of a name to the last byte.
    """

    hosts: frozenset[str] = frozenset()
    max_bytes: int = MOST_BYTES
    max_seconds: int = MOST_SECONDS

    @classmethod
    def from_environment(cls) -> Self:
        """What MARVEL_SOURCE_HOSTS, MARVEL_SOURCE_MAX_BYTES and MARVEL_SOURCE_MAX_SECONDS say.

        Raises:
            SourceError: naming the variable that can't be used.
        """
        named = os.environ.get(HOSTS, "").split(",")
        return cls(
            frozenset(_host(name.strip()) for name in named if name.strip()),
            _whole_number(MAX_BYTES, MOST_BYTES),
            _whole_number(MAX_SECONDS, MOST_SECONDS),
        )

    def allow(self, host: str) -> bool:
        """Whether a host may be asked."""
        return not self.hosts or _host(host) in self.hosts


USUAL = Limits()


def _host(name: str) -> str:
    """The form that names are compared in."""
    plain = name.lower().rstrip(".").strip("[]")
    if not plain or any(character in plain for character in "/@\\ *"):
        raise SourceError(f"{HOSTS}: {name!r} is no host; expected names such as data.example.com, with commas.")
    try:
        return plain if plain.isascii() else plain.encode("idna").decode()
    except UnicodeError as error:
        raise SourceError(f"{HOSTS}: {name!r} is no host's name.") from error


def _whole_number(variable: str, default: int) -> int:
    given = os.environ.get(variable) or str(default)
    if not given.isascii() or not given.isdigit() or int(given) == 0:
        raise SourceError(f"{variable} is {given!r}; expected a whole number above 0.")
    return int(given)
