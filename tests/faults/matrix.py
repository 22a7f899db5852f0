"""The fault matrix, run: the real server on a real socket, before lanes that fail and one outside that listens.

`home` and `nordic` are ours and may fail in every way; `premium` stands outside, never fails, and keeps every byte.
All of it runs in one event loop, where a probe tells when that was held up.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import socket
import ssl
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec
import trustme
from tests.faults.cells import ADDRESSES, CANARY, Cell, faulty
from tests.harness import TOMORROW, Forgetful, serving

from laneway.gateway import Active, Gateway
from laneway.policy_file import parse
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import ScriptedLane, Seen
from laneway.record import Entry, Outcome
from laneway.server.api import Api
from laneway.store import Log, Reader

__all__ = ["ALLOWED", "HEDGE", "POLICY", "TOTAL", "Ended", "Outside", "Ran", "matrix", "spread"]

TOTAL = 1.0
"""The deadline of every cell, in seconds."""

HEDGE = 0.1
"""How long a lane may be silent where the policy hedges, in seconds."""

ALLOWED = 0.1
"""How much later than its deadline a cell may end, in seconds, beside what loop and disk took; see `Ended.late`."""

_BEAT, _TICK = 0.005, 0.001
_KEY = "sk-lane-canary"
_SECONDS = 0.4  # Between a slow lane's bytes: longer than the patience with a first byte.

POLICY = f"""
laneway: 1
name: fault matrix
currency: EUR
sensitivity: [public, internal, confidential, restricted]
unlabelled: {{sensitivity: internal, difficulty: auto, latency: interactive}}
lanes:
  home: {{kind: local, provider: openai, url: "@home", model: home-model, price: 0}}
  nordic: {{kind: private, provider: openai, url: "@nordic", model: nordic-model, runs: SE, stores: SE, price: 0.1}}
  premium:
    kind: premium
    provider: openai
    url: "@premium"
    model: premium-model
    key: env:PREMIUM_KEY
    address: private-allowed
    price: {{input: 3.00, output: 15.00}}
strength: [home, nordic, premium]
networks: [127.0.0.0/8, 10.0.0.0/8]
zones: {{ours: {{kind: [local, private]}}, outside: {{kind: premium}}}}
wall:
  - {{sensitivity: [restricted, confidential], zones: [ours], says: Restricted data stays with us.}}
  - {{sensitivity: [internal, public], zones: [ours, outside], says: Other data may go outside.}}
detect: {{identifiers: restricted, says: A number of a person makes a text restricted.}}
workloads:
  payroll: {{sensitivity: restricted}}
routes:
  - {{says: Hard work starts at the strongest lane., when: {{difficulty: hard}}, try: strongest}}
  - {{says: Other work starts at the cheapest lane., try: cheapest}}
gate:
  says: A weak answer is redone once by a stronger lane.
  checks: [empty, cut-off, invalid-json, tool-call, refusal]
  waiver: {{lanes: [home, nordic, premium], until: {TOMORROW}, by: Head of Platform}}
  weak: [strongest, marked]
deadlines: {{interactive: {{first_byte: 0.3s, total: {TOTAL:g}s}}}}
fallbacks:
  - {{says: The next allowed lane takes over., then: [next, refuse]}}
"""


class Ended(NamedTuple):
    """How one cell ended for its client: by which lane or with which code, after how many seconds, under which id.

    `late` is how much later than its deadline it ended, counted from when the server took the request, without the time
    past the deadline in which the event loop was held up and without `disk`, that in which it waited for the log's.
    """

    cell: Cell
    status: int
    lane: str
    code: str
    id: str
    seconds: float
    began: float = 0.0
    late: float = 0.0
    disk: float = 0.0
    strange: str = ""


class Outside(NamedTuple):
    """What the external lane saw: requests, their bytes, those of restricted requests, and keys that are not its own."""

    requests: int
    size: int
    secret: tuple[str, ...]
    keys: int


@dataclass(slots=True)
class Ran:
    """A whole run: how each cell ended, what stands on record of it, what was seen outside, hold-ups above 10 ms."""

    ended: list[Ended]
    records: dict[str, Outcome | None]
    outside: Outside
    lags: list[float]

    def wrong(self) -> list[str]:
        """What must never be: no end, a late end, another's answer, or a record that tells another story."""
        return [f"{ended.cell}: {why}" for ended in self.ended for why in self._wrong(ended)]

    def _wrong(self, ended: Ended) -> Iterable[str]:
        if ended.strange:
            yield ended.strange
        if ended.late > ALLOWED:
            yield f"ended {ended.late * 1000:.0f} ms late"
        if ended.id:
            record = self.records.get(ended.id)
            if record is None:
                yield "no end on record"
            elif (record.status == "answered") != (not ended.code) or (record.lane or "") != ended.lane:
                yield f"the record says {record.status} by {record.lane}, the client {ended.code or ended.lane}"

    @property
    def hedges(self) -> Counter[str]:
        """How the calls beside a slow lane ended, and those that could not be made."""
        made = (a for record in self.records.values() if record is not None for a in record.attempts)
        return Counter(f"not made, {a.result}" if a.skipped else a.result for a in made if a.why == "hedge")

    @property
    def codes(self) -> Counter[str]:
        """How often each end came."""
        return Counter(ended.code or f"answered by {ended.lane}" for ended in self.ended)


def spread(values: Sequence[float]) -> str:
    """Median, 99th of 100 and worst of some seconds, in milliseconds."""
    ordered = sorted(values) or [0.0]
    return " / ".join(f"{ordered[round(part * (len(ordered) - 1))] * 1000:.0f}" for part in (0.5, 0.99, 1))


# the loop's own lateness


class _Pulse:
    """Tells when the event loop was held up, by a task that wants to run every few milliseconds."""

    def __init__(self) -> None:
        self.lags: list[tuple[float, float]] = []

    async def run(self) -> None:
        while True:
            due = time.monotonic() + _BEAT
            await asyncio.sleep(_BEAT)
            now = time.monotonic()
            if now - due > _TICK:
                self.lags.append((now, now - due))

    def held_up(self, since: float, until: float) -> float:
        """Seconds of that time in which the loop was busy elsewhere, or did not run at all."""
        ended = itertools.islice(self.lags, bisect.bisect(self.lags, (since, 0.0)), None)
        within = itertools.takewhile(lambda lag: lag[0] - lag[1] < until, ended)
        return sum(min(end, until) - max(end - lag, since) for end, lag in within)


class _Timed(Log):
    """The log, and when each request waited for its disk."""

    waits: defaultdict[str, list[tuple[float, float]]]

    async def append(self, *entries: Entry, otherwise: Entry | None = None) -> None:
        began = time.monotonic()
        try:
            await super().append(*entries, otherwise=otherwise)
        finally:
            for entry in entries:
                self.waits[entry.id].append((began, time.monotonic()))


# the world


@dataclass(slots=True)
class _World:
    """The lanes by name and address, and a server for each pair of addresses, started when it is first wanted."""

    directory: Path
    urls: dict[tuple[str, str], str]
    premium: ScriptedLane
    session: aiohttp.ClientSession
    stack: AsyncExitStack
    pulse: _Pulse
    waits: defaultdict[str, list[tuple[float, float]]]
    sites: dict[tuple[str, str], str] = field(default_factory=dict)
    logs: list[Path] = field(default_factory=list)
    hedge: str = ""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    epoch: float = field(default_factory=lambda: time.time() - time.monotonic())

    async def site(self, cell: Cell) -> str:
        first, second = (fault if fault in ADDRESSES else "plain" for fault in (cell.first, cell.second))
        async with self.turn:
            if (first, second) not in self.sites:
                log = self.directory / f"{first}-{second}.db"
                self.logs.append(log)
                addresses = {"@home": self.urls["home", first], "@nordic": self.urls["nordic", second]}
                url = await self.stack.enter_async_context(
                    _server(
                        addresses | {"@premium": self.premium.url, "total:": f"{self.hedge}total:"}, log, self.waits
                    )
                )
                self.sites[first, second] = f"{url}/chat/completions"
        return self.sites[first, second]

    async def ask(self, cell: Cell) -> Ended:
        url, sent = await self.site(cell), cell.sent()
        began = time.monotonic()
        try:
            async with self.session.post(url + sent.query, data=sent.body, headers=sent.headers) as reply:
                told = await reply.read(), reply.status, reply.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            return Ended(cell, 0, "", "none", "", time.monotonic() - began, strange=f"no end: {error!r}")
        seconds = time.monotonic() - began
        return _ended(cell, *told, seconds)._replace(began=began)

    def timed(self, ended: Ended) -> Ended:
        """What of its lateness is the loop's and the disk's. An id tells when the server took the request."""
        began, end = ended.began, ended.began + ended.seconds
        taken = int(ended.id.partition("-")[0], 16) / 1000 - self.epoch if ended.id else began
        due = max(began, taken) + TOTAL
        if end <= due:
            return ended
        disk = sum(max(0.0, until - max(since, due)) for since, until in self.waits[ended.id])
        late = end - due - disk - self.pulse.held_up(due, end)
        return ended._replace(late=max(0.0, late), disk=disk)

    def records(self) -> dict[str, Outcome | None]:
        found: dict[str, Outcome | None] = {}
        for log in self.logs:
            with closing(Reader.open(log)) as reader:
                assert reader.verify().ok
                found |= {s.id: s.outcome.entry if s.outcome else None for s in reader.stories()}
        return found


def _ended(cell: Cell, body: bytes, status: int, headers: Any, seconds: float) -> Ended:
    """Read what the client got: one answer of its own or one error, whole."""
    lane, id, code, strange = headers.get("Laneway-Lane", ""), headers.get("Laneway-Decision", ""), "", ""
    *_, last = [part for part in body.split(b"\n\n") if part] or [b""]
    event = last.removeprefix(b"data: ")
    if cell.stream and status == 200 and b'"error"' not in event[:20]:
        strange = "" if event == b"[DONE]" else "the stream has no end"
    else:
        answer = msgspec.json.decode(event if cell.stream and status == 200 else body)
        code = answer.get("error", {}).get("code", "")
        lane, id = ("" if code else lane), answer.get("error", {}).get("laneway", {}).get("decision", id)
    others = {found[0].decode() for found in CANARY.finditer(body)} - {cell.canary}
    return Ended(cell, status, lane, code, id, seconds, strange=f"got {others}" if others else strange)


@asynccontextmanager
async def _server(
    addresses: dict[str, str], path: Path, waits: defaultdict[str, list[tuple[float, float]]]
) -> AsyncIterator[str]:
    text = POLICY
    for name, url in addresses.items():
        text = text.replace(name, url)
    policy = parse(text, "matrix.yaml")
    log = await asyncio.to_thread(_Timed.open, path)
    assert isinstance(log, _Timed)
    log.waits = waits
    await asyncio.to_thread(log.archive, policy.hash, policy.text)
    provider = HttpProvider(policy.lanes, {"PREMIUM_KEY": _KEY}, policy.networks)
    try:
        gateway = Gateway(log, Active(policy, provider, provider.closed))
        gateway.traffic = Forgetful()
        async with serving(Api(gateway)) as url:
            yield url
    finally:
        await provider.close()
        await asyncio.to_thread(log.close)


@asynccontextmanager
async def _world(directory: Path) -> AsyncIterator[_World]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)  # signed by nobody whom the server knows
    async with AsyncExitStack() as stack:
        urls = {}
        for name in ("home", "nordic"):
            lanes = [
                ScriptedLane(model=f"{name}-model", answer=_echo(name), capture=False),
                ScriptedLane(model=f"{name}-model", capture=False, tls=tls),
            ]
            for lane in lanes:
                lane.fault, lane.seconds = faulty(name), _SECONDS
                await stack.enter_async_context(lane)
            closed = stack.enter_context(socket.socket())
            closed.bind(("127.0.0.1", 0))  # and does not listen
            plain, secure = (lane.url for lane in lanes)
            urls[name, "plain"], urls[name, "bad-certificate"] = plain, secure
            urls[name, "no-tls"] = plain.replace("http:", "https:")
            urls[name, "closed-port"] = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        premium = await stack.enter_async_context(ScriptedLane(model="premium-model", answer=_echo("premium")))
        # Shorter than the server's five seconds: else the two may meet as it closes an idle connection.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
        timeout = aiohttp.ClientTimeout(total=30)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        pulse = _Pulse()
        beating = asyncio.create_task(pulse.run())
        stack.callback(beating.cancel)
        yield _World(directory, urls, premium, session, stack, pulse, defaultdict(list))


def _echo(name: str) -> Any:
    """An answer that tells whose it is."""

    def answer(body: dict[str, object]) -> str:
        found = CANARY.search(msgspec.json.encode(body))
        return f"from {name}, to {found[0].decode() if found else 'nobody'}, in a few words more"

    return answer


def seen(requests: Iterable[Seen]) -> Outside:
    """What a capture of requests holds."""
    whole = [
        b"\n".join([s.path.encode(), *(f"{k}: {v}".encode() for k, v in s.headers.items()), s.raw]) for s in requests
    ]
    secret = tuple(found[0].decode() for each in whole for found in CANARY.finditer(each) if found[2] == b"secret")
    keys = sum(b"client-canary" in each for each in whole)
    return Outside(len(whole), sum(map(len, whole)), secret, keys)


async def matrix(directory: Path, cells: Iterable[Cell], *, at_once: int = 16, hedged: bool = False) -> Ran:
    """Run the cells, so many at a time; `hedged` where the policy asks a second lane after `HEDGE` seconds."""
    async with _world(directory) as world:
        world.hedge = f"hedge: {HEDGE:g}s, " if hedged else ""
        waiting, ended = iter(cells), list[Ended]()

        async def work() -> None:
            for cell in waiting:
                ended.append(await world.ask(cell))

        await asyncio.gather(*(work() for _ in range(at_once)))
        outside = seen(world.premium.seen)
        await world.stack.aclose()  # every log is closed before it is read
        ended = [world.timed(each) for each in ended]
        lags = [seconds for _, seconds in world.pulse.lags if seconds > 0.01]
        return Ran(ended, await asyncio.to_thread(world.records), outside, lags)
