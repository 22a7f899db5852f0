"""load: chat requests over so many connections, every answer checked; a process of its own, so that it shares no core.

    python benchmarks/load.py URL MODEL CONNECTIONS REQUESTS STREAM    # prints seconds and latencies (ms) as JSON

Owns the request (1,024 bytes), the answer that every target must give, and the check of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import msgspec
import uvloop

WORDS = tuple(f"word{i:02d}" for i in range(17))  # With role, finish and [DONE]: 20 events.
ANSWER = " ".join(WORDS)
PROSE = (
    "Write a short commit message for this change: since release 3.11 the pager no longer skips the last row of a "
    "page with 50 rows, and the tests of 2024 run again. "
)
DEADLINE = 240.0


def body(model: str, *, stream: bool) -> bytes:
    """A chat request of 1,024 bytes."""
    fields: dict[str, object] = {"model": model, "temperature": 0}
    if stream:
        fields["stream"] = True
    fields["messages"] = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": ""}]
    text = PROSE * 10
    missing = 1024 - len(msgspec.json.encode(fields))
    fields["messages"] = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": text[:missing]}]
    made = msgspec.json.encode(fields)
    assert len(made) == 1024
    return made


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, *, stream: bool
) -> tuple[bytes, bytes]:
    """Head and body of the answer to `request`."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if stream:
        return head, await reader.readuntil(b"\r\n0\r\n\r\n")
    size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(size)


def _check(head: bytes, data: bytes, *, stream: bool) -> None:
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"no answer: {head[:300]!r} {data[:600]!r}")
    if stream:
        events = [line[6:] for line in data.splitlines() if line.startswith(b"data: {")]
        deltas = [choice["delta"] for event in events for choice in json.loads(event)["choices"]]
        text = "".join(delta.get("content") or "" for delta in deltas)
        if b"data: [DONE]" not in data:
            raise RuntimeError("a stream without its end")
    else:
        text = json.loads(data)["choices"][0]["message"]["content"]
    if text != ANSWER:
        raise RuntimeError(f"another answer: {text[:200]!r}")


async def load(url: str, model: str, connections: int, requests: int, *, stream: bool) -> dict[str, Any]:
    """`requests` answers over `connections`, each checked; latencies in ms."""
    parts = urlsplit(url)
    data = body(model, stream=stream)
    head = (
        f"POST {parts.path}/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\n\r\n"
    )
    request = head.encode() + data
    left, latencies = iter(range(requests)), list[float]()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        with contextlib.closing(writer):
            for _ in left:
                started = time.perf_counter()
                answer = await _exchange(reader, writer, request, stream=stream)
                latencies.append((time.perf_counter() - started) * 1000)
                _check(*answer, stream=stream)

    started = time.perf_counter()
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(connection())
    return {"seconds": time.perf_counter() - started, "latencies": latencies}


def main() -> None:
    """Make the load that the command line names."""
    gc.disable()  # its pauses would be counted as the target's
    url, model, connections, requests, stream = sys.argv[1:]
    done = uvloop.run(load(url, model, int(connections), int(requests), stream=stream == "1"))
    print(json.dumps(done))


if __name__ == "__main__":
    main()
