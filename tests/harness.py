"""A whole Laneway in one event loop: scripted lanes, the real server on a real socket, the real log."""

from __future__ import annotations

import asyncio
import datetime
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop

from laneway.gateway import Active, Gateway
from laneway.lane import Lane
from laneway.policy_file import parse
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import ScriptedLane
from laneway.review.desk import Desk
from laneway.review.people import FILE, People
from laneway.server.api import Api
from laneway.server.app import Server, listen
from laneway.slots import Slots
from laneway.store import Log, Reader, Story
from laneway.traffic import Flow, Traffic

__all__ = ["POLICY", "Answered", "Bench", "Forgetful", "bench", "policy_text", "run", "serving"]

TOMORROW = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=1)

POLICY = """
laneway: 1
name: bench
currency: EUR
sensitivity: [public, internal, confidential, restricted]
unlabelled: {{sensitivity: internal, difficulty: auto, latency: interactive}}
lanes:
  home: {{kind: local, provider: openai, url: "{home}", model: home-model, price: {home_price}}}
  premium:
    kind: premium
    provider: openai
    url: "{premium}"
    model: premium-model
    key: env:PREMIUM_KEY
    address: private-allowed
    price: {{input: 3.00, output: 15.00}}{premium_more}{third_lane}
strength: [home, {third_name}premium]
zones: {{ours: {{kind: [local, private]}}, outside: {{kind: premium}}}}
wall:
  - {{sensitivity: [restricted, confidential], zones: [ours], says: Restricted data stays at home.}}
  - {{sensitivity: [internal, public], zones: [ours, outside], says: Other data may go outside.}}
workloads:
  contracts: {{sensitivity: confidential}}
  flags: {{sensitivity: internal, stakes: high}}{more_work}
routes:
  - {{says: Hard work starts at the strongest lane., when: {{difficulty: hard}}, try: strongest}}
  - {{says: Other work starts at the cheapest lane., try: cheapest}}
gate:
  says: A weak answer is redone once by a stronger lane.
  checks: [empty, cut-off, invalid-json, tool-call]
  waiver: {{lanes: [home, {third_name}premium], until: {until}, by: Head of Platform}}
  weak: [strongest, {on_weak}]{more_gate}
deadlines: {{interactive: {{first_byte: {first_byte}, total: {total}}}}}
fallbacks:
  - {{says: The next allowed lane takes over., then: [next, {then}]}}
reviews:
  - {{says: A lawyer reads risk flags before release., when: {{workload: flags}}, release: after-approval{review_more}}}
{tail}
"""


def policy_text(home: str, premium: str, **changes: str) -> str:
    """The bench's policy over two lanes' addresses."""
    values = {
        "on_weak": "marked",
        "then": "refuse",
        "first_byte": "5s",
        "total": "10s",
        "until": f"{TOMORROW}",
        "home_price": "0",
        "more_gate": "",
        "more_work": "",
        "premium_more": "",
        "third_lane": "",
        "third_name": "",
        "tail": "",
        "review_more": "",
    } | changes
    return POLICY.format(home=home, premium=premium, **values)


class Forgetful(Traffic):
    """Spares no request a lane because of what the lane did to others: breakers and pauses begin anew with each."""

    def of(self, lane: Lane) -> Flow:
        """A Flow without a past."""
        return Flow(lane.name, time.monotonic, Slots(lane.limits, time.monotonic))


@dataclass(frozen=True, slots=True)
class Answered:
    """What a client got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object in the body."""
        found: dict[str, Any] = self.json["error"]
        return found


@dataclass(slots=True)
class Bench:
    """Both lanes, the server's address, its gateway, and the log's path."""

    home: ScriptedLane
    premium: ScriptedLane
    gateway: Gateway
    url: str
    log: Path
    session: aiohttp.ClientSession
    api: Api
    messages: list[dict[str, str]] = field(default_factory=lambda: [{"role": "user", "content": "Hello there"}])

    async def ask(self, text: str | None = None, headers: dict[str, str] | None = None, **body: object) -> Answered:
        """One chat completion over plain HTTP."""
        messages = self.messages if text is None else [{"role": "user", "content": text}]
        sent = {"model": "auto", "messages": messages} | body
        return await self.post(msgspec.json.encode(sent), headers)

    async def post(self, data: bytes, headers: dict[str, str] | None = None) -> Answered:
        """Any bytes as a chat completion's body."""
        fixed = {"content-type": "application/json"} | (headers or {})
        async with self.session.post(f"{self.url}/chat/completions", data=io.BytesIO(data), headers=fixed) as response:
            read = await response.read()
            return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, read)

    def story(self, id: str = "last") -> Story:
        """What the log says of a request."""
        with closing(Reader.open(self.log)) as reader:
            found = reader.story(id)
        assert found is not None
        return found

    def verified(self) -> bool:
        """Whether the log's chain holds."""
        with closing(Reader.open(self.log)) as reader:
            return reader.verify().ok


@asynccontextmanager
async def bench(directory: Path, **changes: str) -> AsyncIterator[Bench]:
    """Start everything, and stop it again."""
    async with (
        ScriptedLane(model="home-model", answer="from home") as home,
        ScriptedLane(model="premium-model", answer="from premium") as premium,
    ):
        policy = parse(policy_text(home.url, premium.url, **changes), "bench.yaml")
        log = await asyncio.to_thread(Log.open, directory / "laneway.db")
        log.archive(policy.hash, policy.text)
        provider = HttpProvider(policy.lanes, {"PREMIUM_KEY": "sk-canary-key"})
        desk = Desk(log, People(directory / FILE))
        await asyncio.to_thread(desk.recall)
        gateway = Gateway(log, Active(policy, provider, provider.closed), desk=desk)
        api, sweeping = Api(gateway), asyncio.create_task(desk.run())
        try:
            async with serving(api) as url, aiohttp.ClientSession() as session:
                yield Bench(home, premium, gateway, url, directory / "laneway.db", session, api)
        finally:
            sweeping.cancel()
            if desk.content is not None:
                await asyncio.to_thread(desk.content.close)
            await provider.close()
            await asyncio.to_thread(log.close)


@asynccontextmanager
async def serving(api: Api) -> AsyncIterator[str]:
    """The real server over an API, and its address."""
    server = Server(api, grace=1.0)
    with listen("127.0.0.1", 0) as listener:
        task = asyncio.create_task(server.serve(listener))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        finally:
            server.stop()
            await task


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run an async test on the loop that the server uses."""

    async def whole() -> None:
        await asyncio.wait_for(test(), 180)

    uvloop.run(whole())
