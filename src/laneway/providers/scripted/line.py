"""line: one connection of a ScriptedLane. Reads requests, writes answers, and notices a client that hangs up."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Literal

import msgspec

from laneway.providers.scripted.script import JSON, SSE, Seen, chunk, event, head, plain

__all__ = ["HungUpError", "Line", "Then"]

Then = Literal["keep", "close", "reset", "again"]
"""What follows an answer; `again` is the same answer once more, that nobody asked for."""

_BLOCK = 2**16
_CLIENT_HELLO = b"\x16"
# Long enough for a client to have read what was written, so that what follows arrives apart.
_APART = 0.05


class HungUpError(Exception):
    """The client hung up before its answer was complete."""


class Line:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def request(self) -> Seen | None:
        """The next request, None where there is none. TLS, spoken to a lane that does not, is told so in the clear."""
        try:
            first = await self._reader.readexactly(1)
            if first == _CLIENT_HELLO:
                self._writer.write(b"".join(plain(400, b'{"error":{"message":"plain HTTP only"}}')))
                return None
            lines = first + await self._reader.readuntil(b"\r\n\r\n")
            start, *rest = lines[:-4].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in rest)}
            raw = await self._reader.readexactly(int(headers.get("content-length", 0)))
            method, path, _ = start.split(" ")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            return None
        try:
            body = msgspec.json.decode(raw, type=dict[str, object]) if raw else {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            body = {}
        return Seen(method, path, headers, raw, body)

    async def send(self, frames: list[bytes], *, pause: float = 0.0, then: Then = "keep") -> None:
        """Write `frames`, the first two at once and the others `pause` seconds apart; then keep or end."""
        start = b"".join(frames if not pause else frames[:2])
        self._write(start)
        for frame in frames[2:] if pause else ():
            await self.pause(pause)
            self._write(frame)
        await self._writer.drain()
        if then == "reset":
            await self.pause(_APART if start else 0)
            if (sock := self._writer.get_extra_info("socket")) is None:
                raise HungUpError  # the client was quicker
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._writer.transport.abort()
        elif then == "close":
            self._writer.close()
        elif then == "again":
            await asyncio.sleep(_APART)
            self._write(b"".join(frames))

    def _write(self, data: bytes) -> None:
        if self._writer.transport.is_closing():
            raise HungUpError
        self._writer.write(data)

    async def pause(self, seconds: float | None) -> None:
        """Wait; raise HungUpError as soon as the client does."""
        try:
            async with asyncio.timeout(seconds):
                # A client sends nothing while it waits for us, so what can be read is its end.
                await self._reader.read(1)
        except TimeoutError:
            return
        raise HungUpError

    async def endless(self, *, stream: bool, pause: float) -> None:
        """Write until the client has had enough: 64 KB at once, or a few words each `pause` seconds."""
        word = event({"choices": [{"index": 0, "delta": {"content": "word " * 200}, "finish_reason": None}]})
        block = (word if stream else b"x" * len(word)) * (1 if pause else _BLOCK // len(word))
        self._write(head(200, SSE if stream else JSON, None) + (b"" if stream else chunk(b'{"choices":"')))
        while True:
            self._write(chunk(block))
            await self._writer.drain()
            if pause:
                await self.pause(pause)
