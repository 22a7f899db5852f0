"""What a Connection makes of clients' bytes, told by a real socket, under uvloop."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from tests.faults.test_resilience import until
from tests.harness import bench, run

from laneway.server import app
from laneway.server.http import MAX_BODY, Connection, Exchange, Gone, TooLong

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n4\r\n you\r\n0\r\n\r\n"
UPGRADE = b"POST /d HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi"
LAST = b"GET /e HTTP/1.1\r\nConnection: close\r\n\r\n"
Opened = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Seen:
    """What became of the requests: their ends in order, and how many are answered now."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.now = self.most = 0
        self.held = asyncio.Event()
        self.open: set[Connection] = set()

    async def answer(self, exchange: Exchange) -> None:
        """Say what was asked; `/stream` in pieces, `/held` once it may, `/early` before the body is there."""
        self.now += 1
        self.most = max(self.now, self.most)
        try:
            await self._answer(exchange)
            self.ends.append("answered")
        except (Gone, TooLong, TimeoutError, asyncio.CancelledError) as error:
            self.ends.append(type(error).__name__)
            if isinstance(error, TooLong):
                exchange.whole(413, {}, b"")
        finally:
            self.now -= 1

    async def _answer(self, exchange: Exchange) -> None:
        if exchange.target == b"/early":
            exchange.whole(404, {}, b"")
            return
        body = await exchange.body(5.0)
        exchange.watched = True
        if exchange.target == b"/held":
            await self.held.wait()
        if exchange.target == b"/stream":
            exchange.begin(200, {"content-type": "text/plain"})
            for part in (b"one ", b"", b"two"):
                exchange.write(part)
            exchange.end()
        else:
            exchange.whole(200, {}, exchange.method + b" " + exchange.target + b" " + body)


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Seen, Callable[[], Awaitable[Opened]]]]:
    """A server of nothing but Connections, and what opens a connection to it."""
    seen, running = Seen(), set[asyncio.Task[None]]()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(seen.answer, seen.open, running), "127.0.0.1", 0)
    try:
        yield seen, lambda: asyncio.open_connection(*server.sockets[0].getsockname())
    finally:
        server.close()
        for connection in tuple(seen.open):
            connection.cut()
        await until("nothing is answered any more", lambda: not running and not seen.open)


async def said(*pieces: bytes) -> bytes:
    """All that comes back for some bytes until the server hangs up."""
    async with served() as (_, opened):
        reader, writer = await opened()
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0)
        got = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        return got


def told(*pieces: bytes) -> list[bytes]:
    """The bodies that come back."""
    got = uvloop.run(said(*pieces))
    return [part.partition(b"\r\n\r\n")[2] for part in re.split(rb"HTTP/1\.1 200 OK\r\n", got)[1:]]


@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_requests_are_answered_in_order_however_they_come(cut: int) -> None:
    """All at once or byte by byte, with lengths or in chunks."""
    sent = GET + POST + CHUNKED + GET + LAST
    pieces = [sent[at : at + cut] for at in range(0, len(sent), cut)]
    assert told(*pieces) == [b"GET /a ", b"POST /b hi", b"POST /c hi you", b"GET /a ", b"GET /e "]


def test_requests_of_one_connection_are_answered_one_at_a_time() -> None:
    """However many a client sends ahead."""

    async def main() -> int:
        async with served() as (seen, opened):
            reader, writer = await opened()
            writer.write(POST * 50 + LAST)
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
            assert len(seen.ends) == 51
            return seen.most

    assert uvloop.run(main()) == 1


def test_a_stream_is_framed_as_the_client_can_read_it() -> None:
    """In chunks for HTTP/1.1; up to the end of the connection for HTTP/1.0; for HEAD its head alone."""
    stream = LAST.replace(b"/e", b"/stream")
    assert told(stream) == [b"4\r\none \r\n3\r\ntwo\r\n0\r\n\r\n"]
    assert told(b"GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == [b"one two"]
    assert told(stream.replace(b"GET", b"HEAD")) == told(LAST.replace(b"GET", b"HEAD")) == [b""]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"what?\r\n\r\n", 400), (b"\x16\x03\x01\x02\x00", 400), (b"GET / HTTP/3.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nX: " + b"x" * 80_000, 431),
        (b"GET /" + b"x" * 80_000, 431), (POST.replace(b"2", b"-2", 1), 400), (POST + b"junk\r\n\r\n", 200), (UPGRADE, 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_what_is_no_http_ends_the_connection(sent: bytes, status: int) -> None:
    """It is told so where nothing else was said yet, and nothing that stands behind it is read."""
    got = uvloop.run(said(sent))
    assert re.findall(rb"HTTP/1\.1 (\d+)", got)[:1] in ([b"%d" % status], [b"400"] if status == 200 else [])
    assert got.count(b" 200 OK") <= 1


def test_a_request_that_is_refused_early_leaves_the_connection_usable() -> None:
    """Its body is read to its end and dropped."""
    early = b"POST /early HTTP/1.1\r\nContent-Length: 500000\r\n\r\n"
    got = uvloop.run(said(early, b"x" * 250_000, b"x" * 250_000, LAST))
    assert re.findall(rb"HTTP/1\.1 (\d+)", got) == [b"404", b"200"]


def test_a_body_without_a_length_is_bounded() -> None:
    """Chunks beyond the most that a body may hold are dropped as they come."""
    piece = b"x" * 2**20
    chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
    head = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b"HTTP/1.1 413" in uvloop.run(said(head, *[chunk] * (MAX_BODY // len(piece) + 1)))


@pytest.mark.parametrize(("sent", "end"), [(POST.replace(b"/b", b"/held"), "CancelledError"), (POST[:-1], "Gone")])
def test_a_client_that_leaves_ends_its_request(sent: bytes, end: str) -> None:
    """While it is answered, and while its body is still to come."""

    async def main() -> None:
        async with served() as (seen, opened):
            _, writer = await opened()
            writer.write(sent)
            await until("it is under way", lambda: seen.now == 1)
            writer.close()
            await until("it has ended", lambda: seen.ends == [end])
            assert (seen.now, len(seen.open)) == (0, 0)

    uvloop.run(main())


def test_a_connection_waits_for_its_next_request_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut once it was idle for IDLE_SECONDS, also where it never asked anything."""
    monkeypatch.setattr(app, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(app, "_SWEEP_SECONDS", 0.05)

    async def test() -> None:
        async with bench(tmp_path) as b:
            port = int(b.url.rsplit(":", 1)[1].partition("/")[0])
            for sent in (b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                with suppress(ConnectionError):
                    assert (await asyncio.wait_for(reader.read(), 10)).count(b"200 OK") == bool(sent)
                writer.close()

    run(test)
