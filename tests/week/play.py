"""play: a whole week: scripted lanes, the real server on a real socket, the real log, and a client."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

from tests.harness import serving
from tests.week.asking import Asked, week
from tests.week.client import Client, Clock, Heard, Word
from tests.week.kinds import LANES, policy_of
from tests.week.lanes import Call, TrackedLane

from laneway.gateway import Active, Gateway
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.providers.http import HttpProvider
from laneway.server.api import Api
from laneway.store import Log
from laneway.traffic import Traffic

__all__ = ["Played", "play"]

_KEYS = {"SHARED_KEY": "sk-of-the-week", "PREMIUM_KEY": "sk-of-the-week"}


class Played(NamedTuple):
    """A week that is over: where its log and policy are, and the ledgers of those who took part."""

    log: Path
    policy: Policy
    seconds: float
    asked: list[Asked]
    calls: list[Call]
    heard: list[Heard]
    words: list[Word]


async def play(directory: Path, seed: int, requests: int, start: datetime.datetime) -> Played:
    """Have the week that begins at `start` (UTC) happen. `directory` gets its log and its policy."""
    asked, clock = week(seed, requests, start.weekday()), Clock(start)
    bell, hanging = itertools.count(1), set[int]()
    async with AsyncExitStack() as stack:
        lanes = [TrackedLane(name, seed, requests, bell, hanging) for name in LANES]
        for lane in lanes:
            await stack.enter_async_context(lane)
        policy = _policy(directory, {lane.name: lane.url for lane in lanes})
        log = await asyncio.to_thread(Log.open, directory / "laneway.db", clock.now)
        stack.push_async_callback(asyncio.to_thread, log.close)
        log.archive(policy.hash, policy.text)
        provider = HttpProvider(policy.lanes, _KEYS)
        stack.push_async_callback(provider.close)
        gateway = Gateway(log, Active(policy, provider, provider.closed), today=clock.today)
        gateway.traffic = Traffic(clock.monotonic)
        url = await stack.enter_async_context(serving(Api(gateway)))
        client, began = Client(url, clock, bell, hanging), time.monotonic()
        await client.send(asked)
        while gateway.shadows.under_way:
            await asyncio.sleep(0.01)
        seconds = time.monotonic() - began
    calls = [call for lane in lanes for call in lane.ledger]
    return Played(directory / "laneway.db", policy, seconds, asked, calls, client.heard, client.words)


def _policy(directory: Path, urls: dict[str, str]) -> Policy:
    file = directory / "laneway.yaml"
    file.write_text(policy_of(urls))
    return load(file)
