"""lane: the ScriptedLane, from its socket to its answers. What it answers with is in `script`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from types import TracebackType

import msgspec

from laneway.providers.scripted.line import HungUpError, Line, Then
from laneway.providers.scripted.script import FAILED, Answer, Fault, Scripted, Seen, answered, bytewise, plain, refused

__all__ = ["ScriptedLane"]

_BACKLOG = 2048  # A thousand who connect at once are to be heard, as a real server would.


class ScriptedLane:
    """Serves `answer` on a port of `host`, or on the Unix socket `path`, while it is entered; `tls` for https.

    `fault` may be switched at any time, or be told of each request by what was seen of it. `seconds` is how long
    `slow-first-byte` waits, `drip` between two bytes, and `endless-slow` between its events; `retry_after` goes with
    `429`. Whatever its fault, it says nothing for `wait` seconds. `arrived` and `left` are set by each request and each
    hang-up in mid-answer.
    """

    def __init__(
        self,
        *,
        model: str = "scripted",
        answer: Answer = "This is a scripted answer of a few words.",
        host: str = "127.0.0.1",
        port: int = 0,
        path: str | None = None,
        tls: ssl.SSLContext | None = None,
        capture: bool = True,
    ) -> None:
        self.model = model
        self.answer = answer
        self.fault: Fault | Callable[[Seen], Fault | None] | None = None
        self.seconds = 0.05
        self.wait = 0.0
        self.retry_after = "1"
        self.seen: list[Seen] = []
        self.requests = 0
        self.connections = 0
        self.disconnects = 0
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.url = ""
        self._host, self._port, self._path, self._tls = host, port, path, tls
        self._capture = capture
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> ScriptedLane:
        if self._path is None:
            self._server = await asyncio.start_server(
                self._serve, self._host, self._port, ssl=self._tls, backlog=_BACKLOG
            )
            scheme, port = "http" if self._tls is None else "https", self._server.sockets[0].getsockname()[1]
            self.url = f"{scheme}://{self._host}:{port}/v1"
        else:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
            self.url = f"unix:{self._path}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self.connections += 1
        line = Line(reader, writer)
        try:
            while (seen := await line.request()) is not None:
                try:
                    await self._reply(line, seen)
                except (ConnectionError, HungUpError):
                    self.disconnects += 1
                    self.left.set()
                    break
        finally:
            writer.close()
            del self._open[task]

    async def _reply(self, line: Line, seen: Seen) -> None:
        self.requests += 1
        if self._capture:
            self.seen.append(seen)
        self.arrived.set()
        if seen.path == "/health":
            await line.send(plain(200, b'{"status":"ok"}'))
        elif seen.path == "/v1/models":
            model = {"id": self.model, "object": "model", "owned_by": "laneway"}
            await line.send(plain(200, msgspec.json.encode({"object": "list", "data": [model]})))
        elif seen.path != "/v1/chat/completions" or seen.method != "POST":
            await line.send(plain(404, FAILED))
        elif not seen.body:
            await line.send(plain(400, FAILED))
        else:
            await self._chat(line, seen, self.fault(seen) if callable(self.fault) else self.fault)

    async def _chat(self, line: Line, seen: Seen, fault: Fault | None) -> None:
        answer = self.answer(seen.body) if callable(self.answer) else self.answer
        if self.wait:
            await line.pause(self.wait)
        if fault == "hang":
            await line.pause(None)
        elif fault == "slow-first-byte":
            await line.pause(self.seconds)
        elif fault in ("endless", "endless-slow"):
            slow = self.seconds if fault == "endless-slow" else 0
            await line.endless(stream=seen.body.get("stream") is True, pause=slow)
        elif fault in _BLUNT:
            await line.send(_BLUNT[fault], then="reset" if fault == "reset-before" else "close")
            return
        elif fault is not None and (fault.isdigit() or fault == "redirect"):
            await line.send(refused(fault, seen, answer, self.retry_after))
            return
        scripted = answer if isinstance(answer, Scripted) else Scripted(text=answer)
        frames, pause = answered(scripted, seen, self.model, fault), scripted.delay
        if fault == "bad-chunk":
            pause = 0.05  # The bad chunk arrives apart, after the good ones were read.
        if fault == "drip":
            frames, pause = bytewise(frames), self.seconds
        await line.send(frames, pause=pause, then=_THEN.get(fault, "keep"))


_BLUNT: dict[Fault | None, list[bytes]] = {
    "close-before": [],
    "reset-before": [],
    "garbage": [b"220 mail.example ESMTP\r\n\r\n"],
}
_THEN: dict[Fault | None, Then] = {
    "truncated": "close",
    "bad-chunk": "close",
    "short-body": "close",
    "reset-after": "reset",
    "answers-twice": "again",
}
