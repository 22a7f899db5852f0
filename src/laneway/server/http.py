"""http: HTTP/1.1 for clients: connections whose requests are answered one after the other.

Comes below `api`: an Exchange is one request as it comes in, and its response as it goes out. Nothing here knows
what is asked. A request that comes while another is answered waits its turn; what is no HTTP gets 400, or 431 for a
head without an end, and the end of its connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import cast

import httptools

__all__ = ["MAX_BODY", "Answer", "Connection", "Exchange", "Gone", "TooLong"]

MAX_BODY = 8 * 1024 * 1024
"""The longest request body in bytes."""

_HEAD_BYTES = 2**16
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class Gone(Exception):
    """The client went away before its request was complete."""


class TooLong(Exception):
    """The request's body is longer than MAX_BODY."""


class Exchange:
    """One request and its response. `headers` are as they came; `late` says that one came after the body.

    `started` turns True with the first byte of the response, `gone` with the end of the connection. That end cancels
    the task which answers while `watched` is set.
    """

    __slots__ = ("_chunked", "_connection", "_ended", "_keep", "_parts", "_size", "_whole", "gone", "headers", "late",
                 "method", "started", "target", "version", "watched")  # fmt: skip

    def __init__(self, connection: Connection) -> None:
        self.method, self.target, self.version = b"", b"", ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.late = self.started = self.gone = self.watched = False
        self._connection = connection
        self._whole = self._keep = self._chunked = self._ended = False
        self._parts: list[bytes] = []
        self._size = 0

    async def body(self, stall: float) -> bytes:
        """The request's body. Raises TooLong, Gone, or TimeoutError where nothing of it came for `stall` seconds."""
        if not self._whole and not self._size and self._expects():
            self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        while not self._whole and self._size <= MAX_BODY and not self.gone:
            async with asyncio.timeout(stall):
                await self._connection.event()
        if self._size > MAX_BODY:
            raise TooLong
        if not self._whole or self.gone:
            raise Gone
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    @property
    def full(self) -> bool:
        """Whether the client should take something before it is sent more."""
        return self._connection.full and not self.gone

    async def room(self, stall: float) -> None:
        """Wait until it is no longer `full`; a client that takes nothing for `stall` seconds is hung up on."""
        timer = asyncio.get_running_loop().call_later(stall, self._connection.cut)
        try:
            while self.full:
                await self._connection.event()
        finally:
            timer.cancel()

    def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole response."""
        head = self._head(status, [*headers.items(), ("content-length", str(len(body)))])
        self._connection.send(head if self.method == b"HEAD" else head + body)
        self._ended = True

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send the head of a response whose length is not known yet."""
        self._chunked = self.version == "1.1" and self.method != b"HEAD"
        self._keep = self._keep and self._chunked
        framing = [("transfer-encoding", "chunked")] if self._chunked else []
        self._connection.send(self._head(status, [*headers.items(), *framing]))

    def write(self, data: bytes) -> None:
        """Send part of the response's body."""
        if data and self.method != b"HEAD":
            self._connection.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """The response's body is all sent."""
        if self._chunked:
            self._connection.send(b"0\r\n\r\n")
        self._ended = True

    def abort(self) -> None:
        """Cut the connection, and what the client has not taken yet."""
        self._connection.cut()

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        self.started = True
        if ("connection", "close") in headers:
            self._keep = False
        elif not self._keep:
            headers.append(("connection", "close"))
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        return f"{_STATUS[status]}{lines}\r\n".encode("latin-1", "replace")

    def _expects(self) -> bool:
        return any(name.lower() == b"expect" and value.lower() == b"100-continue" for name, value in self.headers)

    # What the connection tells.

    def came(self, method: bytes, version: str, *, keep: bool) -> None:
        """The head is there; `keep` says that the client can take another response after this one."""
        self.method, self.version, self._keep = method, version, keep and version == "1.1"

    def take(self, part: bytes) -> None:
        """Part of the body is there. What is too much, or comes when all is said, is dropped."""
        self._size += len(part)
        if self._size <= MAX_BODY and not self._ended:
            self._parts.append(part)

    def complete(self) -> None:
        """All of the body is there."""
        self._whole = True

    @property
    def kept(self) -> bool:
        """Whether another exchange may follow on the connection."""
        return self._ended and self._keep


Answer = Callable[[Exchange], Coroutine[None, None, None]]


class Connection(asyncio.Protocol):
    """One client's connection. `open` and `running` are the server's: what is open, and the tasks that answer.

    `full` says that the client should take something before it is sent more; `idle_since` is None while an exchange
    is under way. Every event wakes all who wait, who then look at the state.
    """

    def __init__(self, answer: Answer, open: set[Connection], running: set[asyncio.Task[None]]) -> None:
        self._answer, self._open, self._running = answer, open, running
        self._loop = asyncio.get_running_loop()
        self.full = False
        self.idle_since: float | None = self._loop.time()
        self._transport: asyncio.Transport | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._parser = httptools.HttpRequestParser(self)
        self._coming: Exchange | None = None  # whose head or body is being read
        self._now: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._next: deque[Exchange] = deque()
        self._head_bytes = 0
        self._headed = self._last = False
        self._reading = True

    # What an exchange does.

    def send(self, data: bytes) -> None:
        """Send what nobody waits for."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def event(self) -> None:
        """Wait for whatever happens next."""
        waiter = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            self._waiting.remove(waiter)

    def cut(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # What the server does.

    def drain(self) -> None:
        """Take no further request, and close once what is under way has ended."""
        self._last = True
        if self._now is None and self._transport is not None:
            self._transport.close()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclass of it
        self._open.add(self)

    def data_received(self, data: bytes) -> None:
        """Part of asyncio.Protocol."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # of whose body the parser lets go
            self._stop_reading(400)
            return
        if not self._headed:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self._stop_reading(431)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # the loop's name for it
        """Part of asyncio.Protocol."""
        self._open.discard(self)
        self._next.clear()
        self._transport = None
        del self._parser  # which holds this object, so that only a garbage collection would free either
        if self._now is not None:
            self._now.gone = True
            if self._now.watched and self._task is not None:
                self._task.cancel()
        self._wake()

    def pause_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self.full = True

    def resume_writing(self) -> None:
        """Part of asyncio.Protocol."""
        self.full = False
        self._wake()

    # What the parser tells.

    def on_message_begin(self) -> None:
        """Part of the parser's protocol."""
        self._coming = Exchange(self)
        self._headed, self._head_bytes = False, 0

    def on_url(self, url: bytes) -> None:
        """Part of the parser's protocol."""
        if self._coming is not None:
            self._coming.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Part of the parser's protocol."""
        if self._coming is None:
            return
        if self._headed:
            self._coming.late = True
        else:
            self._coming.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Part of the parser's protocol."""
        coming, parser = self._coming, self._parser
        if coming is None:
            return
        self._headed = True
        coming.came(parser.get_method(), parser.get_http_version(), keep=parser.should_keep_alive())
        if self._now is None:
            self._begin(coming)
        else:
            self._next.append(coming)
            self._read_on(False)

    def on_body(self, part: bytes) -> None:
        """Part of the parser's protocol."""
        if self._coming is not None:
            self._coming.take(part)
            self._wake()

    def on_message_complete(self) -> None:
        """Part of the parser's protocol."""
        if self._coming is not None:
            self._coming.complete()
            self._coming = None
            self._wake()

    def _begin(self, exchange: Exchange) -> None:
        self._now, self.idle_since = exchange, None
        self._task = task = self._loop.create_task(self._answered(exchange))
        self._running.add(task)

    async def _answered(self, exchange: Exchange) -> None:
        task = self._task
        try:
            await self._answer(exchange)
        finally:
            self._now = self._task = None
            if task is not None:
                self._running.discard(task)
            self._after(exchange)

    def _after(self, exchange: Exchange) -> None:
        """Go on with the next request, where there may be one."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._last or not exchange.kept:
            self._transport.close()
            return
        if self._next:
            self._begin(self._next.popleft())
        else:
            self.idle_since = self._loop.time()
        if not self._next:
            self._read_on(True)

    def _read_on(self, on: bool) -> None:
        if self._transport is not None and on is not self._reading:
            self._reading = on
            self._transport.resume_reading() if on else self._transport.pause_reading()

    def _stop_reading(self, status: int) -> None:
        """Nothing that comes on this connection can be understood any more."""
        self._coming = None
        if self._transport is None or self._transport.is_closing():
            return
        if self._now is None or not self._now.started:
            self._transport.write(f"{_STATUS[status]}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        self._transport.close()

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
