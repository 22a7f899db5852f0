"""Addresses: which hosts are this machine, and which are on a private network. Pure; resolves nothing."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

__all__ = ["is_loopback", "is_private", "on_this_machine"]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """True for `localhost` and loopback addresses, for no other name: `127.evil.example` is a name."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def is_private(host: str) -> bool:
    """True for an address that is not on the public internet (private, link-local, metadata, loopback)."""
    address = _address(host)
    return is_loopback(host) if address is None else not address.is_global


def on_this_machine(url: str) -> bool:
    """True for a Unix socket or a loopback host."""
    return url.startswith("unix:") or is_loopback(urlsplit(url).hostname or "")
