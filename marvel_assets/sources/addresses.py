"""How an address is shown, and which ones a redirect may lead to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

HTTPS_PORT = 443

_NAT64 = IPv6Network("64:ff9b::/96")


class Endpoint(NamedTuple):
    """The end of a connection."""

    address: IPv4Address | IPv6Address
    port: int

    @classmethod
    def of(cls, address: str, port: int) -> Endpoint:
        """From what a socket tells, an IPv4 address within an IPv6 one taken out."""
        parsed = ip_address(address.partition("%")[0])
        return cls(_innermost(parsed), port)


def shown(url: str) -> str:
    """A URL as logs, tables and pages may show it: without user, password, query and fragment."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # refuses what is no number, as in http://user:p/ssword@host
    except ValueError:
        return f"{url.partition('://')[0]}://… (an address that can't be parsed)"
    query = "?…" if parts.query else ""
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return f"{scheme}{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address belongs to the public internet: no loopback, private, link-local or otherwise special one."""
    return address.is_global and not (address.is_multicast or address.is_reserved)


def may_follow(to: Endpoint, own: Endpoint | None) -> bool:
    """Whether a redirect may lead to the end that was really connected to.

    The machine that the user named may send to itself, on the same port or on to HTTPS. Any other must be public.

    Args:
        to: where the redirect leads.
        own: where the user's own URL led, if to a known place.
    """
    within_own = own is not None and to.address == own.address and to.port in {own.port, HTTPS_PORT}
    return within_own or is_public(to.address)


def _innermost(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one stands for: mapped, by 6to4, by Teredo or by NAT64."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address
