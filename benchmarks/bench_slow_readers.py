"""bench_slow_readers: the memory of a server whose clients hardly read the long streams that they asked for.

    python benchmarks/bench_slow_readers.py                 # 1,000 readers, about a minute
    python benchmarks/bench_slow_readers.py --readers 100 --seconds 10 --json

A real `laneway serve` passes on endless streams of a scripted lane to readers that take a few KB a second each. The
server's resident memory is read from the kernel before the first reader, once all have begun, and then every second:
it stays flat if what a reader does not take holds its lane back. All of it is on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import uvloop

POLICY = """\
laneway: 1
name: slow readers
currency: USD
sensitivity: [internal]
unlabelled: {{sensitivity: internal, difficulty: auto, latency: interactive}}
lanes: {{home: {{kind: local, provider: openai, url: "{lane}", model: scripted, price: 0}}}}
strength: [home]
zones: {{ours: {{kind: local}}}}
wall: [{{sensitivity: [internal], zones: [ours], says: Ours.}}]
routes: [{{try: cheapest, says: All work.}}]
gate: {{waiver: {{lanes: [home], until: {until}, by: bench}}}}
deadlines: {{interactive: {{first_byte: 30s, total: 600s}}}}
"""
TAKE = 4096


@contextmanager
def started(*command: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A process that prints one JSON object once it is ready; it is ended afterwards."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )  # fmt: skip
    try:
        assert process.stdout is not None
        text = ""
        while text.count("{") > text.count("}") or not text:
            line = process.stdout.readline()
            assert line, f"{command} did not start"
            text += line
        yield process, json.loads(text)
    finally:
        process.kill()
        process.communicate()


def resident(pid: int) -> float:
    """A process's resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def read_slowly(port: int, begun: asyncio.Event, taken: list[int]) -> None:
    """One stream, a few KB a second."""
    body = json.dumps({"model": "auto", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=TAKE)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 b"Content-Length: %d\r\n\r\n" % len(body) + body)  # fmt: skip
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    begun.set()
    with contextlib.suppress(ConnectionError):
        while True:
            taken.append(len(await reader.read(TAKE)))
            await asyncio.sleep(1)


async def measured(pid: int, port: int, readers: int, seconds: int) -> dict[str, object]:
    """The server's memory before, once all streams have begun, and each second after that."""
    before, taken = resident(pid), list[int]()
    events = [asyncio.Event() for _ in range(readers)]
    began, tasks = time.monotonic(), []
    for event in events:  # one after the other, as a thousand at once is a test of something else
        tasks.append(asyncio.create_task(read_slowly(port, event, taken)))
        await asyncio.wait_for(event.wait(), 60)
    all_begun = time.monotonic() - began
    samples = []
    for _ in range(seconds):
        samples.append(resident(pid))
        await asyncio.sleep(1)
    lost = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    third = max(seconds // 3, 1)
    return {
        "readers": readers, "seconds": seconds, "begun_after_s": round(all_begun, 1), "lost": lost,
        "before_mib": round(before, 1), "first_mib": round(samples[0], 1), "last_mib": round(samples[-1], 1),
        "most_mib": round(max(samples), 1), "kib_a_reader": round((max(samples) - before) * 1024 / readers, 1),
        "growth_last_two_thirds_mib": round(samples[-1] - samples[third], 1), "taken_mib": round(sum(taken) / 2**20, 1),
    }  # fmt: skip


def main() -> None:
    """Measure, and print a few lines or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=1000)
    parser.add_argument("--seconds", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lane = stack.enter_context(started("-m", "laneway.providers.scripted", "--fault", "endless"))[1]
        policy = directory / "laneway.yaml"
        policy.write_text(POLICY.format(lane=lane["url"], until=until))
        server, told = stack.enter_context(
            started("-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json", "--most",
                    str(options.readers + 1))
        )  # fmt: skip
        port = int(told["url"].removesuffix("/v1").rpartition(":")[2])
        found = uvloop.run(measured(server.pid, port, options.readers, options.seconds))
    print(json.dumps(found, indent=2) if options.json else "\n".join(f"{k:28} {v}" for k, v in found.items()))


if __name__ == "__main__":
    main()
