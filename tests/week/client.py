"""client: sends a week of requests in the week's own time, and keeps a ledger of what came back.

The week's clock stands at the newest request that was sent. How many are under way at once is bounded by the week's
time between the oldest of them and the next, so that a lane that hangs holds up the week and not only its own request.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import heapq
import re
from collections import deque
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec
from tests.week.asking import WEEK, Asked

__all__ = ["Client", "Clock", "Heard", "Word"]

_ABREAST = 24
_COMMENT = re.compile(rb"^: (laneway-[a-z]+): (.*)$", re.M)
_LOOK = 0.1
"""Real seconds after which an impatient client looks whether it should leave."""


class Clock:
    """The week's time, which stands still until somebody moves it."""

    def __init__(self, start: datetime.datetime) -> None:
        self.start, self.seconds = start, 0.0
        self._nanoseconds = round(start.timestamp()) * 1_000_000_000

    def now(self) -> int:
        """UTC in nanoseconds."""
        return self._nanoseconds + int(self.seconds * 1e9)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.seconds

    def today(self) -> datetime.date:
        """The day in UTC."""
        return (self.start + datetime.timedelta(seconds=self.seconds)).date()


class Heard(NamedTuple):
    """How a request ended for the client. `status` is 0 where it left; `code` an error's, also one in a stream."""

    number: int
    order: int
    status: int
    decision: str = ""
    lane: str = ""
    verdict: str = ""
    code: str = ""


class Word(NamedTuple):
    """What the client said of an answer afterwards."""

    number: int
    source: str
    accepted: bool
    status: int


class Client:
    """Sends requests to the server at `url`. `heard` and `words` are its ledger.

    `hanging` are the numbers of requests that a lane will not answer. Who leaves goes by that, and not by the time,
    so that nobody leaves because this machine is slow.
    """

    def __init__(self, url: str, clock: Clock, bell: Iterator[int], hanging: Set[int]) -> None:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        self.heard: list[Heard] = []
        self.words: list[Word] = []
        self._host, self._port, self._clock, self._bell, self._hanging = (
            parts.hostname,
            parts.port,
            clock,
            bell,
            hanging,
        )
        self._idle = deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()
        self._under_way: dict[int, float] = {}
        self._ended = asyncio.Event()
        self._later: list[tuple[float, int, str, bool, str]] = []  # at, number, source, accepted, decision

    async def send(self, asked: Sequence[Asked]) -> None:
        """Send all of it, and say what is to be said of it."""
        span = _ABREAST * WEEK / len(asked)
        async with asyncio.TaskGroup() as group:
            for one in asked:
                while self._later and self._later[0][0] <= one.at:
                    await self._say()
                while len(self._under_way) >= _ABREAST or one.at > next(iter(self._under_way.values()), one.at) + span:
                    self._ended.clear()
                    await self._ended.wait()
                self._clock.seconds = max(self._clock.seconds, one.at)
                self._under_way[one.number] = one.at
                group.create_task(self._ask(one))
        while self._later:
            await self._say()
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, one: Asked) -> None:
        try:
            heard = await self._answer(one)
        finally:
            del self._under_way[one.number]
            self._ended.set()
        self.heard.append(heard)
        for turn, (source, accepted) in enumerate(one.words if heard.lane and not heard.code else (), start=1):
            said = (one.at + turn * one.after, one.number, source, accepted, heard.decision)
            heapq.heappush(self._later, said)

    async def _answer(self, one: Asked) -> Heard:
        try:
            leaving = one.number if one.impatient else 0
            status, headers, data = await self._post("/v1/chat/completions", one.body, one.labels, leaving)
        except TimeoutError:
            return Heard(one.number, next(self._bell), 0)
        code = ""
        if status != 200:
            code = msgspec.json.decode(data)["error"]["code"]
        elif b'data: {"error"' in data:
            event = data.partition(b'data: {"error"')[2].partition(b"\n\n")[0]
            code = msgspec.json.decode(b'{"error"' + event)["error"]["code"]
        if "text/event-stream" in headers.get("content-type", ""):  # one that waited for long has them as comments
            headers |= {name.decode(): value.decode() for name, value in _COMMENT.findall(data)}
        get = headers.get
        return Heard(one.number, next(self._bell), status, get("laneway-decision", ""), get("laneway-lane", ""),
                     get("laneway-verdict", ""), code)  # fmt: skip

    async def _say(self) -> None:
        at, number, source, accepted, decision = heapq.heappop(self._later)
        self._clock.seconds = max(self._clock.seconds, min(at, WEEK))
        reason = "good after all" if accepted else "not usable"
        body = {"decision": decision, "accepted": accepted, "reason": reason, "source": source}
        who = {"laneway-user": "desk" if source == "operator" else f"user {number % 50}"}
        status, _, _ = await self._post("/v1/feedback", msgspec.json.encode(body), who)
        self.words.append(Word(number, source, accepted, status))

    async def _post(
        self, path: str, body: bytes, headers: dict[str, str], leaving: int = 0
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises TimeoutError, and hangs up, once the request `leaving` hangs at a lane."""
        reader, writer = await self._connection()
        kept = False
        try:
            more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            start = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}"
            writer.write(f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            head = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
            while leaving and not (await asyncio.wait({head}, timeout=_LOOK))[0]:
                if leaving in self._hanging:
                    head.cancel()
                    raise TimeoutError
            lines = (await head).decode("latin-1").split("\r\n")
            got = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
            if "content-length" in got:
                data = await reader.readexactly(int(got["content-length"]))
            else:
                data = await reader.readuntil(b"\r\n0\r\n\r\n")
            kept = got.get("connection") != "close"
            return int(lines[0].split(" ")[1]), got, data
        finally:
            if kept:
                self._idle.append((reader, writer))
            else:
                with contextlib.suppress(ConnectionError):
                    writer.close()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
        return await asyncio.open_connection(self._host, self._port)
