"""kill -9 under load: a server, a lane and a client as processes, and what the log says of what the client got.

The client, which nobody kills, keeps the ids: `begun` where an answer's head arrived, `answered` where all of it did.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.harness import policy_text

from laneway.store import Reader

__all__ = ["CONCURRENT", "EARLY", "SERVE", "Ledger", "killed", "settled"]

CONCURRENT = 64
"""Requests under way at any time; every other one is a stream, and half of those are passed on live."""

SERVE = "from laneway.cli import main; main()"

EARLY = f"""
import asyncio
from laneway.store import writer

async def append(self, *entries, otherwise=None):
    waiting = [writer._Waiting([self._line(entry) for entry in entries], None)]
    asyncio.get_running_loop().call_later(0.02, self._queue.put, waiting)

writer.Log.append = append
{SERVE}
"""
"""A server that answers before the commit: the defect that the harness must find."""

_CLIENT = """
import asyncio, itertools, sys, aiohttp

HARD = "Prove that the algorithm terminates, and explain the trade-offs step by step."

async def ask(session, url, turns):
    while True:
        turn = next(turns)
        body = {"model": "auto", "stream": turn % 2 == 1,
                "messages": [{"role": "user", "content": HARD if turn % 4 == 1 else "Hi"}]}
        try:
            async with session.post(url, json=body) as got:
                if got.status != 200:
                    continue
                id = got.headers["Laneway-Decision"]
                print("begun", id, flush=True)
                if (await got.read()).endswith(b"data: [DONE]\\n\\n" if turn % 2 else b"}"):
                    print("answered", id, flush=True)
        except aiohttp.ClientError:
            return

async def load(url, concurrent):
    turns = itertools.count()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(ask(session, url, turns) for _ in range(concurrent)))

for url in iter(sys.stdin.readline, ""):
    asyncio.run(load(url.strip(), int(sys.argv[1])))
    print("dead -", flush=True)
"""


@dataclass(slots=True)
class Ledger:
    """What the clients of all lives got, and how long each start took, in seconds until it served."""

    begun: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)
    starts: list[float] = field(default_factory=list)

    def note(self, line: str) -> str:
        """Take one line that a client printed; what it says."""
        what, id = line.split()
        if what != "dead":
            (self.answered if what == "answered" else self.begun).add(id)
        return what


class Settled(NamedTuple):
    """What the log says: answers that are not on record as such, begun ones without any record, ends, the chain.

    `streams` counts the answered ones that were streams, `cut` those whose head a client had when the kill came.
    """

    lost: set[str]
    unknown: set[str]
    ends: Counter[str]
    streams: int
    cut: int
    whole: bool


def killed(
    directory: Path, kills: int, *, serve: str = SERVE, answers: int = CONCURRENT * 3, seconds: float = math.inf
) -> Ledger:
    """`kills` lives of one server over one log, each ended by SIGKILL once its client has `answers` answers.

    No life begins after so many seconds; how many there were is one less than the starts.
    """
    end = time.monotonic() + seconds
    ledger, policy = Ledger(), directory / "laneway.yaml"
    with _lane() as home, _process("-c", _CLIENT, str(CONCURRENT)) as client:
        policy.write_text(policy_text(home, home, first_byte="30s", total="60s"))
        for life in itertools.takewhile(lambda _: time.monotonic() < end, range(kills)):
            with _process("-c", serve, *_arguments(policy)) as server:
                _tell(client, f"{_ready(server, ledger)}/chat/completions")
                # Not always at the same moment: now and then among the first ones.
                _until_answered(client, answers if life % 4 else CONCURRENT // 2, ledger)
                server.kill()
            while ledger.note(_line(client)) != "dead":
                pass
        with _process("-c", SERVE, *_arguments(policy)) as server:  # closes what was open, and ends in peace
            _ready(server, ledger)
            server.terminate()
            assert server.wait(60) == 0
    return ledger


def settled(log: Path, ledger: Ledger) -> Settled:
    """Hold what the clients got against the log."""
    ends, unknown, lost = Counter[str](), set(ledger.begun), set(ledger.answered)
    streams = cut = 0
    with closing(Reader.open(log)) as reader:
        for story in reader.stories():
            end = story.outcome.entry.status if story.outcome else "open"
            ends[end] += 1
            unknown.discard(story.id)
            if end == "answered":
                lost.discard(story.id)
            if story.opening.stream:
                streams += story.id in ledger.answered
                cut += story.id in ledger.begun and story.id not in ledger.answered
        return Settled(lost, unknown, ends, streams, cut, reader.verify().ok)


def _until_answered(client: subprocess.Popen[str], answers: int, ledger: Ledger) -> None:
    while answers > 0:
        answers -= ledger.note(_line(client)) == "answered"


def _arguments(policy: Path) -> tuple[str, ...]:
    return ("serve", "--policy", str(policy), "--port", "0", "--json")


def _ready(server: subprocess.Popen[str], ledger: Ledger) -> str:
    """Where the server answers, once it does."""
    began = time.monotonic()
    printed = [_line(server)]
    while printed[-1] != "}\n":
        printed.append(_line(server))
    ledger.starts.append(time.monotonic() - began)
    url: str = json.loads("".join(printed))["url"]
    return url


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "a process ended too early"
    return line


@contextmanager
def _lane() -> Iterator[str]:
    # A little apart, so that a kill finds streams in their middle.
    with _process("-m", "laneway.providers.scripted", "--port", "0", "--delay", "0.002") as lane:
        yield json.loads(_line(lane))["url"]


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that is killed in the end."""
    env = os.environ | {"PREMIUM_KEY": "sk-scripted"}
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    process = subprocess.Popen([sys.executable, *arguments], stdin=pipe, stdout=pipe, stderr=null, text=True, env=env)
    with process:
        try:
            yield process
        finally:
            process.kill()
