"""line: connections to lanes that speak HTTP/1.1, one exchange at a time on each, kept between exchanges.

Comes below `providers.http`: a Line sends one request and gives the answer's status, then its body as it arrives.
What goes wrong is a Failed. Nothing here follows a redirect, retries, decompresses or reads the environment.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import NamedTuple, cast

import httptools

from laneway.egress import Door, NoEntry, NotLetThrough, Reach, Through

__all__ = ["Failed", "Line", "Lines", "Place"]

_CONNECT_SECONDS = 2.0
_IDLE_SECONDS = 15.0
_PIECE = 2**16
_HEAD_BYTES = 2**16
_BUFFERED = 2**17


class Place(NamedTuple):
    """Where a lane listens: a host and port that `reach` bounds, or a Unix socket; `trust` where it proves itself."""

    host: str
    port: int
    socket: str | None
    trust: ssl.SSLContext | None
    reach: Reach
    proxy: Through | None = None


class Failed(Exception):
    """An exchange that did not happen: a stable code, words, and the class of what was raised."""

    def __init__(self, code: str, says: str, kind: str, *, retry: bool = False) -> None:
        self.code, self.says, self.kind, self.retry = code, says, kind, retry
        super().__init__(code)


class Line(asyncio.Protocol):
    """One connection. Between `ask` and the end of its body it belongs to one call.

    Every event wakes the one who waits, who then looks at the state: `status` is 0 until the answer's head is
    there, `_whole` is True once its body is.
    """

    def __init__(self, place: Place, loop: asyncio.AbstractEventLoop) -> None:
        self.place = place
        self.status = 0
        self.retry_after = ""
        self.idle_since = 0.0
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._failed: tuple[str, str] | None = None  # `disconnected` or `garbage`, and the class of what was raised
        self._writable = True
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parts: deque[bytes] = deque()
        self._buffered = self._head_bytes = 0
        self._reading = True
        self._asked = self._whole = self._keep = self._framed = False
        self.status, self.retry_after = 0, ""

    # What a call does.

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: the answer is whole, and its sender keeps the connection."""
        return self._keep and self._failed is None and not self._parts

    async def ask(self, head: bytes, body: bytes) -> None:
        """Send a request and wait for the head of its answer. Raises Failed where none comes."""
        self._begin()
        self._asked = True
        assert self._transport is not None
        if len(body) <= _PIECE:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            for start in range(0, len(body), _PIECE):
                while not self._writable and not self.status and self._failed is None:
                    await self._event()
                self._transport.write(body[start : start + _PIECE])
        while not self.status:
            if self._failed is not None:
                code, kind = self._failed
                if code == "garbage":
                    raise Failed("garbage", "did not answer in HTTP", kind)
                raise Failed("disconnected", "hung up before it answered", kind, retry=True)
            await self._event()

    async def read(self) -> bytes:
        """The next bytes of the body, empty at its end. Raises Failed where it breaks off."""
        while not self._parts:
            if self._whole:
                return b""
            if self._failed is not None:
                raise Failed("broken", "broke off its answer", self._failed[1])
            await self._event()
        part = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts.clear()
        self._buffered = 0
        if not self._reading and self._transport is not None and self._failed is None:
            self._reading = True
            self._transport.resume_reading()
        return part

    def cut(self) -> None:
        """Close the connection at once, whatever is under way."""
        self._fail("disconnected", "ConnectionAbortedError")
        if self._transport is not None:
            self._transport.abort()

    async def _event(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, code: str, kind: str) -> None:
        if self._failed is None:
            self._failed = code, kind
        self._wake()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        if not self._asked or self._whole or self._failed is not None:
            self.cut()  # nobody asked for it
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._whole:
                self._fail("garbage", type(error).__name__)
            self._keep = False
            return
        self._head_bytes += len(data)
        if not self.status and self._head_bytes > _HEAD_BYTES:
            self._fail("garbage", "TooLongHead")

    def connection_lost(self, error: Exception | None) -> None:
        """Part of asyncio.Protocol."""
        if error is None and self.status and not self._framed and self._failed is None:
            self._whole = True  # a body without a length ends with its connection
        self._keep = False
        self._fail("disconnected", "ConnectionResetError" if error is None else type(error).__name__)

    def pause_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self._writable = False

    def resume_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self._writable = True
        self._wake()

    # What the parser tells.

    def on_message_begin(self) -> None:
        """Part of the parser's protocol."""
        self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of the parser's protocol."""
        match name.lower():
            case b"content-length" | b"transfer-encoding":
                self._framed = True
            case b"retry-after":
                self.retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Part of the parser's protocol."""
        status = self._parser.get_status_code()
        if self.status:
            self._keep = False  # a second answer
        elif status == 101 or status >= 200:
            self.status = status
            self._wake()

    def on_body(self, part: bytes) -> None:
        """Part of the parser's protocol."""
        if self._whole:
            return
        self._parts.append(part)
        self._buffered += len(part)
        if self._buffered > _BUFFERED and self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """Part of the parser's protocol."""
        if self.status and not self._whole:
            self._whole = True
            self._keep = self._parser.should_keep_alive()
            self._wake()


class Lines:
    """All connections, and those of them that wait for the next call. Every one came through `door`."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._all: set[Line] = set()
        self._idle: dict[Place, list[Line]] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def idle(self, place: Place) -> Line | None:
        """A kept connection that is still good, the one used last."""
        waiting = self._idle.get(place)
        while waiting:
            line = waiting.pop()
            if line.reusable:
                return line
            self._drop(line)
        return None

    async def connected(self, place: Place) -> Line:
        """A new connection. Raises Failed."""
        loop = asyncio.get_running_loop()

        def made() -> Line:
            return Line(place, loop)

        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                if place.socket is not None:
                    line = await self._door.open_socket(made, place.socket, place.reach)
                elif place.proxy is not None and place.trust is not None:
                    line = await self._door.open_through(
                        made, place.host, place.port, place.reach, place.proxy, place.trust
                    )
                else:
                    line = await self._door.open(made, place.host, place.port, place.reach, place.trust)
        except TimeoutError as error:
            failed = Failed("connect-timeout", "was too slow to connect", type(error).__name__, retry=True)
        except NoEntry as error:
            says = "has an address that no lane of its kind may have; nothing was sent"
            failed = Failed("forbidden-address", says, type(error).__name__)
        except NotLetThrough as error:
            failed = Failed("proxy", f"was not let through by its proxy ({error.status})", type(error).__name__)
        except ssl.SSLError as error:
            says = "did not prove who it is, or does not speak TLS"
            failed = Failed("tls", says, type(error).__name__)
        except OSError as error:
            failed = Failed("unreachable", "could not be reached", type(error).__name__, retry=True)
        except ValueError as error:
            failed = Failed("unreachable", "has an address that cannot be used", type(error).__name__)
        else:
            self._all.add(line)
            return line
        raise failed

    def give_back(self, line: Line) -> None:
        """Keep a connection for the next call, or cut it."""
        if not line.reusable:
            self._drop(line)
            return
        loop = asyncio.get_running_loop()
        line.idle_since = loop.time()
        self._idle.setdefault(line.place, []).append(line)
        if self._sweep is None:
            self._sweep = loop.call_later(_IDLE_SECONDS, self._sweep_idle, loop)

    def _sweep_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cut what has waited too long; look again while anything waits."""
        self._sweep = None
        oldest = loop.time() - _IDLE_SECONDS
        for place, waiting in list(self._idle.items()):
            for line in [line for line in waiting if line.idle_since <= oldest or not line.reusable]:
                waiting.remove(line)
                self._drop(line)
            if not waiting:
                del self._idle[place]
        if self._idle:
            self._sweep = loop.call_later(1.0, self._sweep_idle, loop)

    def _drop(self, line: Line) -> None:
        self._all.discard(line)
        line.cut()

    async def close(self) -> None:
        """Cut every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self._idle.clear()
        while self._all:
            self._drop(self._all.pop())
        await asyncio.sleep(0)  # the event loop closes sockets in its next turn
