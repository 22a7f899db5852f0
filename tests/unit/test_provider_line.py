"""What a Line makes of answers that are unusual as HTTP, told byte by byte by a real socket, under uvloop."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from laneway.errors import LaneError
from laneway.lane import Lane
from laneway.providers.http import HttpProvider

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CASES = {
    "an interim answer first": (b"HTTP/1.1 100 Continue\r\n\r\n" + _OK, False, "ok", 1),
    "a body that ends with its connection": (b"HTTP/1.1 200 OK\r\n\r\nok", True, "ok", 2),
    "an answer that nobody asked for": (_OK + _OK, False, "ok", 2),
    "an answer of the old protocol": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", False, "ok", 2),
    "a switch of protocols": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", False, "unexpected-status", 2),
    "a head without end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, False, "garbage", 2),
    "two lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", False, "garbage", 2),
    "a chunk that is none": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", False, "broken", 2),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_unusual_answers(case: str) -> None:
    """Each is read as HTTP says or is an error; a connection is kept only after one clean answer."""
    raw, hangs_up, wanted, connections = CASES[case]
    made = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made
        made += 1
        try:
            while await reader.readuntil(b"{}"):
                writer.write(raw)
                if hangs_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def ask(provider: HttpProvider, lane: Lane) -> str:
        try:
            async with provider.call(lane, b"{}", stream=False) as reply:
                return b"".join([part async for part in reply.chunks()]).decode()
        except LaneError as error:
            return error.code

    async def main() -> list[str]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            lane = Lane(name="far", kind="premium", provider="openai", url=url, model="m", private_address=True)
            provider = HttpProvider({"far": lane}, {})
            said = [await ask(provider, lane), await ask(provider, lane)]
            await provider.close()
            return said

    assert uvloop.run(asyncio.wait_for(main(), 20)) == [wanted, wanted]
    assert made == connections
