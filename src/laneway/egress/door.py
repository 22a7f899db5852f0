"""door: the only place where this process connects to anything.

A host is looked up, every one of its addresses is judged by what the lane promises to be, and the connection goes to
an address that was judged, so that no second look-up can lead elsewhere. Answers are kept for half a minute.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, TypeVar

from laneway.addresses import external
from laneway.lane import Lane

__all__ = ["PINNED_SECONDS", "Door", "NoEntry", "Reach", "Resolve", "reach_of"]

PINNED_SECONDS = 30.0
"""How long a judged look-up counts; after that a name is looked up and judged again."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""A host and a port in, its addresses out. Raises OSError where it has none."""

P = TypeVar("P", bound=asyncio.Protocol)


class Reach(NamedTuple):
    """Which addresses a lane may have: this machine's, those inside `networks`, those of the internet, or any."""

    kind: Literal["machine", "networks", "internet", "any"]
    networks: tuple[str, ...] = ()

    def holds(self, address: str) -> bool:
        """Whether a lane of this reach may be at `address`."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if self.kind == "machine":
            return found.is_loopback
        if self.kind == "networks":
            return any(found in ipaddress.ip_network(network) for network in self.networks)
        return self.kind == "any" or external(found)


def reach_of(lane: Lane, networks: tuple[str, ...]) -> Reach:
    """What a lane's kind promises of its addresses, under a policy's `networks`."""
    if lane.kind == "local":
        return Reach("machine")
    if lane.kind == "private":
        return Reach("networks", networks)
    return Reach("any" if lane.private_address else "internet")


class NoEntry(Exception):
    """A host has an address that its lane may not have: nothing was sent to any of them."""


class Door:
    """Opens connections. `resolve` is the system's look-up where nothing else is given."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve or _system
        self._pinned: dict[tuple[str, int, Reach], tuple[float, list[str]]] = {}

    async def open(self, made: Callable[[], P], host: str, port: int, reach: Reach, trust: ssl.SSLContext | None) -> P:
        """A connection to `host`, which proves to be the host by `trust`. Raises NoEntry, OSError."""
        loop, failed = asyncio.get_running_loop(), OSError("no address")
        for address in await self._judged(host, port, reach):
            try:
                name = host if trust is not None else None
                _, line = await loop.create_connection(made, address, port, ssl=trust, server_hostname=name)
            except ssl.SSLError:
                raise
            except OSError as error:
                failed = error
            else:
                return line
        raise failed

    async def open_socket(self, made: Callable[[], P], path: str) -> P:
        """A connection to a Unix socket, which is on this machine by its nature. Raises OSError."""
        _, line = await asyncio.get_running_loop().create_unix_connection(made, path)
        return line

    async def _judged(self, host: str, port: int, reach: Reach) -> list[str]:
        """The addresses of `host`, each of them one that `reach` holds."""
        key, now = (host, port, reach), time.monotonic()
        known = self._pinned.get(key)
        if known is not None and known[0] > now:
            return known[1]
        self._pinned.pop(key, None)
        addresses = await self._resolve(host, port)
        if not addresses or not all(map(reach.holds, addresses)):
            raise NoEntry
        self._pinned[key] = now + PINNED_SECONDS, addresses
        return addresses


async def _system(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))
