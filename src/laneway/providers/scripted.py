"""ScriptedLane: a small real lane on loopback whose answers and faults are scripted.

It speaks the OpenAI chat wire, stream and not, over raw sockets, so that it can misbehave byte by byte.
The demo's premium lane, the tests' lane, and the floor of the benchmarks:

    async with ScriptedLane(answer="Four.") as lane:
        ...                                           # call lane.url
        lane.fault = "503"                            # from now on

    python -m laneway.providers.scripted --port 0     # prints {"url": "http://127.0.0.1:PORT/v1"}
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import TracebackType
from typing import Literal, get_args

import msgspec
import uvloop

__all__ = ["FAULTS", "Answer", "Fault", "Scripted", "ScriptedLane", "Seen", "main"]

Fault = Literal[
    "400", "401", "404", "418", "429", "500", "503", "redirect",
    "hang", "slow-first-byte", "drip", "endless",
    "close-before", "reset-before", "garbage",
    "reset-after", "bad-chunk", "short-content-length", "truncated", "error-event", "stays-open",
    "empty", "cut-off",
]  # fmt: skip
FAULTS: tuple[Fault, ...] = get_args(Fault)

_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"
_BLOCK = 2**16
# Long enough for a client to have read what was written, so that what follows arrives apart.
_APART = 0.05
_FAILED = b'{"error":{"message":"Scripted failure","type":"server_error","code":"scripted"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer. `delay` is seconds between a stream's events; `usage` is tokens in and out.

    `raw` is the body in its pieces, in place of everything that would be made of the rest.
    """

    text: str = ""
    finish: str | None = "stop"
    tool_calls: tuple[Mapping[str, object], ...] = ()
    delay: float = 0.0
    usage: tuple[int, int] | None = None
    model: str | None = None
    raw: tuple[bytes, ...] = ()


Answer = str | Scripted | Callable[[dict[str, object]], str | Scripted]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; header names in lower case, `body` empty where it was no JSON object."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, object]


class ScriptedLane:
    """Serves `answer` on a port of 127.0.0.1, or on the Unix socket `path`, while it is entered.

    `fault` may be switched at any time. `seconds` is how long `slow-first-byte` waits, and `drip` between
    two bytes. `arrived` and `left` are set by each request and each hang-up in mid-answer.
    """

    def __init__(
        self,
        *,
        model: str = "scripted",
        answer: Answer = "This is a scripted answer of a few words.",
        port: int = 0,
        path: str | None = None,
        capture: bool = True,
    ) -> None:
        self.model = model
        self.answer = answer
        self.fault: Fault | None = None
        self.seconds = 0.05
        self.seen: list[Seen] = []
        self.requests = 0
        self.connections = 0
        self.disconnects = 0
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()
        self.url = ""
        self._port = port
        self._path = path
        self._capture = capture
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def __aenter__(self) -> ScriptedLane:
        if self._path is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
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
        line = _Line(reader, writer)
        try:
            while (seen := await line.request()) is not None:
                try:
                    await self._reply(line, seen)
                except (ConnectionError, _HungUpError):
                    self.disconnects += 1
                    self.left.set()
                    break
        finally:
            writer.close()
            del self._open[task]

    async def _reply(self, line: _Line, seen: Seen) -> None:
        self.requests += 1
        if self._capture:
            self.seen.append(seen)
        self.arrived.set()
        if seen.path == "/health":
            await line.send(_plain(200, b'{"status":"ok"}'))
        elif seen.path == "/v1/models":
            model = {"id": self.model, "object": "model", "owned_by": "laneway"}
            await line.send(_plain(200, msgspec.json.encode({"object": "list", "data": [model]})))
        elif seen.path != "/v1/chat/completions" or seen.method != "POST":
            await line.send(_plain(404, _FAILED))
        elif not seen.body:
            await line.send(_plain(400, _FAILED))
        else:
            await self._chat(line, seen)

    async def _chat(self, line: _Line, seen: Seen) -> None:
        fault = self.fault
        stream = seen.body.get("stream") is True
        answer = self.answer(seen.body) if callable(self.answer) else self.answer
        scripted = answer if isinstance(answer, Scripted) else Scripted(text=answer)
        if fault == "hang":
            await line.pause(None)
        elif fault == "slow-first-byte":
            await line.pause(self.seconds)
        elif fault == "endless":
            await line.endless(_SSE if stream else _JSON)
        elif fault in _BLUNT:
            await line.send(_BLUNT[fault], then="reset" if fault == "reset-before" else "close")
            return
        elif fault is not None and (fault.isdigit() or fault == "redirect"):
            await line.send(_status(fault, seen, b"".join(scripted.raw)))
            return
        if fault == "empty":
            scripted = replace(scripted, text="", tool_calls=())
        elif fault == "cut-off":
            words = _words(scripted.text)
            scripted = replace(scripted, text="".join(words[: len(words) // 2]), finish="length", tool_calls=())
        events = list(scripted.raw) or (_events if stream else _whole)(scripted, seen, scripted.model or self.model)
        frames = _frames(events, stream=stream, fault=fault)
        pause = _APART if fault == "bad-chunk" else scripted.delay
        if fault == "drip":
            frames, pause = _bytewise(frames), self.seconds
        await line.send(frames, pause=pause, then=_THEN.get(fault, "keep"))


_BLUNT: dict[Fault | None, list[bytes]] = {
    "close-before": [],
    "reset-before": [],
    "garbage": [b"220 mail.example ESMTP\r\n\r\n"],
}
_Then = Literal["keep", "close", "reset"]
_THEN: dict[Fault | None, _Then] = {
    "truncated": "close",
    "bad-chunk": "close",
    "short-content-length": "close",
    "reset-after": "reset",
}


class _HungUpError(Exception):
    """The client hung up before its answer was complete."""


class _Line:
    """One connection: reads requests, writes answers, and notices a client that hangs up meanwhile."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> Seen | None:
        """The next request, None where there is none."""
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            first, *rest = head[:-4].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in rest)}
            raw = await self._reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = first.split(" ")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            return None
        try:
            body = msgspec.json.decode(raw, type=dict[str, object]) if raw else {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = {}
        return Seen(method, path, headers, raw, body)

    async def send(self, frames: list[bytes], *, pause: float = 0.0, then: _Then = "keep") -> None:
        """Write `frames`, the first two at once and the others `pause` seconds apart; then keep or end."""
        start = b"".join(frames if not pause else frames[:2])
        self._writer.write(start)
        for frame in frames[2:] if pause else ():
            await self.pause(pause)
            self._writer.write(frame)
        await self._writer.drain()
        if then == "reset":
            await self.pause(_APART if start else 0)
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        elif then == "close":
            self._writer.close()

    async def pause(self, seconds: float | None) -> None:
        """Wait; raise as soon as the client hangs up."""
        try:
            async with asyncio.timeout(seconds):
                # A client sends nothing while it waits for us, so what can be read is its end.
                await self._reader.read(1)
        except TimeoutError:
            return
        raise _HungUpError

    async def endless(self, kind: str) -> None:
        """Write until the client has had enough."""
        word = {"choices": [{"index": 0, "delta": {"content": "word " * 200}, "finish_reason": None}]}
        event = _event(word)
        block = event * (_BLOCK // len(event)) if kind == _SSE else b"x" * _BLOCK
        self._writer.write(_head(200, kind, None) + (b"" if kind == _SSE else _chunk(b'{"choices":"')))
        while True:
            self._writer.write(_chunk(block))
            await self._writer.drain()


def _head(status: int, kind: str, size: int | None, more: str = "") -> bytes:
    framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    return f"{first}\r\nContent-Type: {kind}\r\n{more}{framing}\r\n\r\n".encode()


def _plain(status: int, body: bytes, more: str = "") -> list[bytes]:
    return [_head(status, _JSON, len(body), more), body]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _event(value: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(value)


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _half(parts: list[bytes]) -> list[bytes]:
    return parts[: len(parts) // 2] if len(parts) > 1 else [parts[0][: len(parts[0]) // 2]]


def _status(fault: Fault, seen: Seen, raw: bytes) -> list[bytes]:
    """An answer of another status: `raw`, or one that quotes the prompt and the key back, as real providers do."""
    if fault == "redirect":
        return _plain(307, b"", "Location: /v1/elsewhere\r\n")
    quoted = f"Incorrect: {seen.headers.get('authorization', '')} {seen.raw[:500].decode('utf-8', 'replace')}"
    error = {"message": quoted, "type": "invalid_request_error", "code": f"scripted-{fault}", "param": None}
    body = raw or msgspec.json.encode({"error": error})
    return _plain(int(fault), body, "Retry-After: 1\r\n" if fault == "429" else "")


def _usage(scripted: Scripted, seen: Seen) -> dict[str, int]:
    tokens_in, tokens_out = scripted.usage or (len(seen.raw) // 4, len(_words(scripted.text)))
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _whole(scripted: Scripted, seen: Seen, model: str) -> list[bytes]:
    message: dict[str, object] = {"role": "assistant", "content": scripted.text}
    if scripted.tool_calls:
        message = {**message, "content": scripted.text or None, "tool_calls": scripted.tool_calls}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": scripted.finish}
    answer = {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 0, "model": model,
              "choices": [choice], "usage": _usage(scripted, seen)}  # fmt: skip
    return [msgspec.json.encode(answer)]


def _events(scripted: Scripted, seen: Seen, model: str) -> list[bytes]:
    def chunk(choices: list[dict[str, object]], **more: object) -> bytes:
        return _event({"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0,
                       "model": model, "choices": choices, **more})  # fmt: skip

    def delta(finish: str | None = None, **delta: object) -> bytes:
        return chunk([{"index": 0, "delta": delta, "finish_reason": finish}])

    calls = [delta(tool_calls=[{"index": i, **call}]) for i, call in enumerate(scripted.tool_calls)]
    words = [delta(content=word) for word in _words(scripted.text)]
    events = [delta(role="assistant", content=""), *words, *calls, delta(scripted.finish)]
    options = seen.body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        events.append(chunk([], usage=_usage(scripted, seen)))
    return [*events, b"data: [DONE]\n\n"]


def _frames(events: list[bytes], *, stream: bool, fault: Fault | None) -> list[bytes]:
    """An answer's bytes as HTTP: the head, then the body in the pieces in which it is written."""
    kind = _SSE if stream else _JSON
    kept = _half(events) if fault in ("truncated", "reset-after", "bad-chunk") else events
    if fault == "error-event":
        kept = [*_half(events), b"data: %b\n\n" % _FAILED] if stream else [_FAILED]
    if fault == "short-content-length" or (not stream and fault != "bad-chunk"):
        promised = sum(map(len, events if fault == "reset-after" else kept))
        return [_head(200, kind, promised + 64 * (fault == "short-content-length")), *kept]
    frames = [_head(200, kind, None), *map(_chunk, kept)]
    if fault == "bad-chunk":
        return [frames[0], b"".join(frames[1:]), b"ZZ\r\n"]
    if fault not in ("reset-after", "stays-open"):
        frames[-1] += b"0\r\n\r\n"
    return frames


def _bytewise(frames: list[bytes]) -> list[bytes]:
    """The same bytes, one by one after the head."""
    head, *rest = frames
    return [head, *(bytes([byte]) for byte in b"".join(rest))]


async def _run(lane: ScriptedLane) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with lane:
        sys.stdout.write(msgspec.json.encode({"url": lane.url}).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one lane until it is told to stop; the first line of output tells its URL."""
    parser = argparse.ArgumentParser(prog="python -m laneway.providers.scripted", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--model", default="scripted")
    parser.add_argument("--answer", default="This is a scripted answer of a few words.")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between a stream's events")
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("--seconds", type=float, default=0.05, help="for slow-first-byte and drip")
    options = parser.parse_args(arguments)
    answer = Scripted(text=options.answer, delay=options.delay)
    lane = ScriptedLane(model=options.model, answer=answer, port=options.port, capture=False)
    lane.fault, lane.seconds = options.fault, options.seconds
    uvloop.run(_run(lane))


if __name__ == "__main__":
    main()
