"""A log that cannot be written under load, several times: whatever a client was given is on record."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.faults.kills import CONCURRENT
from tests.harness import policy_text
from tests.processes import spawn

from laneway.store import Reader

DEADLINE = 60.0

# Half of the clients stream. A line for each answer: whole or what went wrong, and the id that came with it.
CLIENT = """
import asyncio, sys, aiohttp

async def ask(session, url, stream):
    body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    while True:
        try:
            async with session.post(url, json=body) as got:
                data = await got.read()
        except aiohttp.ClientError:
            return
        whole = got.status == 200 and data.rstrip().endswith(b"[DONE]" if stream else b"}")
        what = "whole" if whole else "unavailable" if b'"log_unavailable"' in data else "other"
        print(what, got.headers.get("Laneway-Decision", "-"), flush=True)
        if not whole:
            await asyncio.sleep(0.02)

async def main():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session, sys.argv[1], bool(n % 2)) for n in range(int(sys.argv[2]))))

asyncio.run(main())
"""

HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


class Lines:
    """What a process prints, as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process, self.seen = process, list[str]()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # a last one that the end cut off may name another id
                self.seen.append(line.strip())

    def close(self) -> None:
        """Read what it printed before it ended."""
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def more(self, what: str, count: int) -> None:
        """Wait until `count` more lines begin so."""
        start, end = len(self.seen), time.monotonic() + DEADLINE
        while sum(line.startswith(what) for line in self.seen[start:]) < count:
            assert time.monotonic() < end, f"no {count} more of {what}: {Counter(x.split()[0] for x in self.seen)}"
            assert self._process.poll() is None, "the process ended"
            time.sleep(0.01)


@contextmanager
def full(server: subprocess.Popen[str], log: Path) -> Iterator[None]:
    """No byte is left on the log's disk."""
    filler = log.with_name("filler")
    with filler.open("wb", buffering=0) as file:
        try:
            for size in (2**20, 2**12, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue
            yield
        finally:
            filler.unlink()


@contextmanager
def broken(server: subprocess.Popen[str], log: Path) -> Iterator[None]:
    """Writes fail with an input/output error: no file of the server's may grow beyond what is far too little."""
    before = resource.prlimit(server.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (2**12, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, before)


@contextmanager
def locked(server: subprocess.Popen[str], log: Path) -> Iterator[None]:
    """Another program holds the file."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        holder.communicate("", timeout=30)


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A disk of its own, in memory."""
    directory.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(directory)], capture_output=True)
    if os.geteuid() != 0 or mounted.returncode != 0:
        pytest.skip("a small disk cannot be mounted here; without root, an i/o error stands in for it")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@contextmanager
def serving(policy: Path, log: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`laneway serve` as a process, and its address; in the end it stops in good order."""
    server = spawn("-m", "laneway.cli", "serve", "--policy", str(policy), "--log", str(log), "--port", "0", "--json")
    try:
        assert server.stdout is not None
        text = ""
        while not text.rstrip().endswith("\n}"):
            line = server.stdout.readline()
            assert line, "the server did not start"
            text += line
        yield server, json.loads(text)["url"]
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=40)
        assert server.returncode == 0
    finally:
        server.kill()
        server.communicate()


@pytest.mark.parametrize(("outage", "times"), [(full, 3), (broken, 3), (locked, 2)], ids=["full", "i/o", "locked"])
def test_nothing_given_to_a_client_is_missing(tmp_path: Path, outage: object, times: int) -> None:
    """64 clients keep the ids they got while writing fails and works again: each is on record, as what it was."""
    assert callable(outage)
    if outage is full:
        with small_disk(tmp_path / "disk") as disk:
            _loaded(tmp_path, disk / "laneway.db", outage, times)
    else:
        _loaded(tmp_path, tmp_path / "laneway.db", outage, times)


def _loaded(directory: Path, log: Path, outage: object, times: int) -> None:
    assert callable(outage)
    lane, policy = spawn("-m", "laneway.providers.scripted", "--port", "0"), directory / "laneway.yaml"
    try:
        assert lane.stdout is not None
        home = json.loads(lane.stdout.readline())["url"]
        policy.write_text(policy_text(home, home, total="60s"))
        with serving(policy, log) as (server, url):
            client = spawn("-c", CLIENT, f"{url}/chat/completions", str(CONCURRENT))
            lines = Lines(client)
            try:
                lines.more("whole", CONCURRENT)
                for _ in range(times):
                    with outage(server, log):
                        lines.more("unavailable", CONCURRENT // 2)
                    lines.more("whole", CONCURRENT * 2)
            finally:
                client.kill()
                lines.close()
    finally:
        lane.kill()
        lane.communicate()
    _checked(log, lines.seen)


def _checked(log: Path, lines: list[str]) -> None:
    """Every id is on record, the whole answers as answered; nothing is open, and the chain holds."""
    given = [line.split() for line in lines if line.count(" ") == 1 and not line.endswith("-")]
    with closing(Reader.open(log)) as reader:
        ends = {s.id: s.outcome.entry for s in reader.stories() if s.outcome}
        assert reader.verify().ok
        assert len(ends) == sum(1 for _ in reader.stories())
    whole = {id for what, id in given if what == "whole"}
    print(f"{len(whole)} answers, {sum(line.startswith('unavailable') for line in lines)} log_unavailable, "
          f"{sum(id not in ends for _, id in given)} not on record")  # fmt: skip
    assert [id for _, id in given if id not in ends] == []
    assert {ends[id].status for id in whole} == {"answered"}
    assert not [line for line in lines if line.startswith("other")]
