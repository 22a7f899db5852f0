"""door: the only place where this process connects to anything.

A host is looked up, every one of its addresses is judged by what the lane promises to be, and the connection goes to
an address that was judged, so that no second look-up can lead elsewhere. Answers are kept for half a minute.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple, TypeVar, cast

from laneway.addresses import external, is_private
from laneway.lane import Lane

__all__ = ["PINNED_SECONDS", "Door", "NoEntry", "NotLetThrough", "Reach", "Resolve", "Through", "reach_of"]

PINNED_SECONDS = 30.0
"""How long a judged look-up counts; after that a name is looked up and judged again."""

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""A host and a port in, its addresses out. Raises OSError where it has none."""

_HEAD_BYTES = 2**14

_Wanted = tuple[str, int, "Reach"]

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


class Through(NamedTuple):
    """A proxy on the way, where it may be, and what it wants to hear of us."""

    host: str
    port: int
    reach: Reach
    greeting: bytes


class NotLetThrough(Exception):
    """A proxy answered something else than that the way is free: its status, 0 where it was no HTTP."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(status)


class NoEntry(Exception):
    """A host has an address that its lane may not have: nothing was sent to any of them."""


class Door:
    """Opens connections. `resolve` is the system's look-up where nothing else is given."""

    def __init__(self, resolve: Resolve | None = None) -> None:
        self._resolve = resolve or _system
        self._pinned: dict[_Wanted, tuple[float, list[str]]] = {}
        self._looking: dict[_Wanted, asyncio.Task[list[str]]] = {}

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

    async def open_through(
        self, made: Callable[[], P], host: str, port: int, reach: Reach, proxy: Through, trust: ssl.SSLContext
    ) -> P:
        """A connection to `host` through a proxy, which looks the name up and sees no more than that name.

        Raises NoEntry for the proxy's own address, or for a host that is itself one outside `reach`; NotLetThrough,
        OSError.
        """
        if reach.kind != "any" and is_private(host):
            raise NoEntry
        loop = asyncio.get_running_loop()
        reader, protocol = await self.open(lambda: _Reading(loop), proxy.host, proxy.port, proxy.reach, None), made()
        transport = reader.transport
        try:
            place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            transport.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (*[place.encode()] * 2, proxy.greeting))
            status = await reader.status()
            if status != 200:
                raise NotLetThrough(status)
            secure = await loop.start_tls(transport, protocol, trust, server_hostname=host)
        except BaseException:
            transport.abort()
            raise
        assert secure is not None
        protocol.connection_made(secure)
        return protocol

    async def open_socket(self, made: Callable[[], P], path: str, reach: Reach) -> P:
        """A connection to a Unix socket, which is on this machine by its nature. Raises NoEntry, OSError."""
        if reach.kind == "internet":
            raise NoEntry
        _, line = await asyncio.get_running_loop().create_unix_connection(made, path)
        return line

    async def _judged(self, host: str, port: int, reach: Reach) -> list[str]:
        """The addresses of `host`, each of them one that `reach` holds."""
        wanted, now = (host, port, reach), time.monotonic()
        known = self._pinned.get(wanted)
        if known is not None and known[0] > now:
            return known[1]
        self._pinned.pop(wanted, None)
        addresses = await self._found(wanted)
        if not addresses or not all(map(reach.holds, addresses)):
            raise NoEntry
        self._pinned[wanted] = now + PINNED_SECONDS, addresses
        return addresses

    async def _found(self, wanted: _Wanted) -> list[str]:
        """The addresses of a host. Who asks while it is looked up waits for the same answer, as the system looks up
        few names at once, and one whose servers are silent must not keep the others waiting."""
        looking = self._looking.get(wanted)
        if looking is None:
            looking = asyncio.ensure_future(self._resolve(*wanted[:2]))
            self._looking[wanted] = looking
            looking.add_done_callback(lambda _: self._looking.pop(wanted))
            looking.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to ask
        return await asyncio.shield(looking)


class _Reading(asyncio.Protocol):
    """Waits for the head of a proxy's answer."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._head, self._done = b"", loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > _HEAD_BYTES:
            self._end()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # a Protocol's shape
        self._end()

    def _end(self) -> None:
        if not self._done.done():
            self._done.set_result(None)

    async def status(self) -> int:
        """The status in the head; 0 where it is no head, or more than one."""
        await self._done
        told = re.match(rb"HTTP/1\.[01] ([0-9]{3})[ \r]", self._head)
        return int(told[1]) if told and self._head.endswith(b"\r\n\r\n") else 0


async def _system(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))
