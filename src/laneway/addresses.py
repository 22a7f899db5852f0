"""Addresses: which hosts are this machine, and which are on a private network. Pure; resolves nothing."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["Address", "external", "is_loopback", "is_private", "on_this_machine", "within"]


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")


def external(address: Address) -> bool:
    """True for an address of the public internet that is no other one in disguise.

    Not those of this machine, of private, shared (RFC 6598) and link-local networks with the clouds' metadata, nor
    multicast; and of IPv6 not what wraps an IPv4 address (mapped, 6to4, Teredo, RFC 6052) that is one of those.
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or address.sixtofour or address.teredo:
            return False
        if address in _NAT64:
            return external(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast


@lru_cache(64)
def is_loopback(host: str) -> bool:
    """True for `localhost` and loopback addresses, for no other name: `127.evil.example` is a name."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_private(host: str) -> bool:
    """True for an address that is not on the public internet, in any spelling that a resolver would take."""
    host = host.rstrip(".")
    address = _address(host)
    if address is None:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))  # 127.1, 0x7f.0.0.1, 2130706433
        except OSError:
            return is_loopback(host)
    return not external(address)


def within(host: str, networks: Iterable[str]) -> bool | None:
    """Whether an address is inside one of `networks`; None for a name, which is only known once resolved."""
    address = _address(host)
    if address is None:
        return None
    return any(address in ipaddress.ip_network(network) for network in networks)


@lru_cache(64)
def on_this_machine(url: str) -> bool:
    """True for a Unix socket or a loopback host."""
    return url.startswith("unix:") or is_loopback(urlsplit(url).hostname or "")
