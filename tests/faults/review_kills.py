"""kill -9, races and time-outs in the review path: a server as a process, and ledgers that nobody kills.

Clients, reviewers and lanes live here and keep ledgers of their own: what was asked, who sent which decision about
which words and when, what was confirmed, what clients got. From these alone comes what must never have been released.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from tests.faults.review_disk import Disk
from tests.faults.review_lives import FAST, lived
from tests.harness import policy_text

from laneway.providers.scripted import ScriptedLane
from laneway.review.people import FILE, People
from laneway.store import Reader

__all__ = ["Figures", "Ledger", "judged", "played"]

_SHORT = 60 / FAST
_SLACK = 0.3
_PEOPLE = ("Anna", "Bo", "Cy")
_WORK = {"flags": 1, "pairs": 2, "waits": 1, "short": 1, "walled": 1}


class Sent(NamedTuple):
    """A decision that somebody sent: when, who, what, about which words; and when its final word was confirmed."""

    at: float
    by: str
    action: str
    words: str
    to: str


@dataclass
class Asked:
    """One request: its kind, who asked, when it was sent and answered, its ticket, and what its client got."""

    number: int
    work: str
    by: str
    sent: float
    told: float | None = None
    poll: str = ""
    got: list[tuple[float, str]] = field(default_factory=list)
    refused: str = ""

    @property
    def id(self) -> str:
        """The item of whose answer the client was told to ask for."""
        return self.poll.removeprefix("/reviews/").partition("?")[0]


@dataclass
class Ledger:
    """Everything that was seen from outside."""

    asked: dict[int, Asked] = field(default_factory=dict)
    sent: dict[int, list[Sent]] = field(default_factory=lambda: defaultdict(list))
    closed: dict[int, tuple[float, str]] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    queue: list[str] = field(default_factory=list)
    stayed: list[str] = field(default_factory=list)
    outside: list[bytes] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    deaths: int = 0


class Figures(NamedTuple):
    """What the ledgers say: releases, those nobody approved, approvals that were confirmed and lost, and the chain.

    `stayed` are words on disk that should have gone, `queue` what waits and should not, or the other way round, and
    `crossed` the walled requests that a lane outside saw anything of.
    """

    asked: int
    released: int
    unapproved: list[str]
    lost: list[str]
    stayed: list[str]
    queue: list[str]
    crossed: list[int]
    chain: str
    answers: Counter[str]


async def played(folder: Path, kills: int, *, defect: str = "", seed: int = 1, seconds: float = 1e9) -> Ledger:
    """So many lives of one server, each ended by SIGKILL; then one more, in which everything comes to its end."""
    chance, ledger, end = random.Random(seed), Ledger(), time.monotonic() + seconds
    people = People(folder / FILE)

    tokens = {name: people.add(name, "review", (), datetime.date(2026, 11, 1)) for name in _PEOPLE}
    tokens["Cleo"] = people.add("Cleo", "audit", (), datetime.date(2026, 11, 1))
    async with (
        ScriptedLane(model="home-model", answer=_answer("home")) as home,
        ScriptedLane(model="premium-model", answer=_answer("premium")) as premium,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
    ):
        policy = folder / "laneway.yaml"
        policy.write_text(_policy(home.url, premium.url))
        environment = os.environ | {"BEGIN": f"{time.time()}", "PREMIUM_KEY": "sk-scripted"}
        world, disk = _World(ledger, tokens, session, chance), Disk(folder / "laneway.db")
        doing = [asyncio.create_task(each) for each in world.everybody()]
        while ledger.kills < kills and time.monotonic() < end:
            disk.noted()
            async with lived(policy, environment, defect) as (process, url):
                disk.searched(ledger.ended if url else {})
                await world.queued(url)
                world.url = url
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), chance.uniform(0.2, 1.2))
                    ledger.deaths += 1
                ledger.kills += 1
                world.url = ""
        world.ending = True
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)
        calm = environment | {"CALM": "1"}
        async with lived(policy, calm, "") as (process, url):
            world.url = url
            await world.collect()
            process.terminate()
            await process.wait()
        disk.searched(ledger.ended)
        ledger.stayed, ledger.outside = disk.stayed, [seen.raw for seen in premium.seen]
    return ledger


def judged(folder: Path, ledger: Ledger) -> Figures:
    """Hold what clients got against what reviewers sent."""
    unapproved, lost = [], []
    for one in ledger.asked.values():
        for at, text in one.got:
            wrong = _wrong(one, at, text, ledger)
            if wrong:
                unapproved.append(f"{one.number} ({one.work}, of {one.by}): {wrong}")
        closed = ledger.closed.get(one.number)
        fetched = one.got or not one.poll or "gone" in one.refused  # or its client never heard where to ask
        if closed is not None and closed[1] in ("approve", "edit") and not fetched:
            lost.append(f"{one.number} ({one.work}): {closed[1]} was confirmed, and it is {one.refused or 'pending'}")
    with closing(Reader.open(folder / "laneway.db")) as reader:
        found = reader.verify()
    released = sum(bool(one.got) for one in ledger.asked.values())
    walled = {one.number for one in ledger.asked.values() if one.work == "walled"}
    told = {int(number) for raw in ledger.outside for number in re.findall(rb"Question (\d+)", raw)}
    return Figures(len(ledger.asked), released, unapproved, lost, ledger.stayed, ledger.queue, sorted(walled & told),
                   found.problem or "holds", ledger.answers)  # fmt: skip


def _wrong(one: Asked, at: float, text: str, ledger: Ledger) -> str:
    """Why the client should not have got this then; empty where enough people had sent their approval of it."""
    before = [sent for sent in ledger.sent[one.number] if sent.at < at and sent.by != one.by]
    closed = ledger.closed.get(one.number)
    if closed is not None and closed[1] == "reject" and closed[0] < at:
        return "it was rejected, and that was confirmed before"
    if "extract of" in text:
        wanted = re.sub(r"^\w+ answer to ", "", text)
        behind = {sent.by for sent in before if sent.action == "reclassify" and sent.words == wanted}
    else:
        behind = {sent.by for sent in before if sent.action in ("approve", "edit") and sent.words == text}
    needed = _WORK[one.work]
    if len(behind) < needed:
        return f"{needed} had to approve {text!r}, and {sorted(behind) or 'nobody'} did"
    if one.work == "short" and one.told is not None:
        first = min(sent.at for sent in before if sent.by in behind)
        times = 1 + sum(sent.action == "send" for sent in before)  # each answer of another lane has its own time
        if first > one.told + _SHORT * times + _SLACK:
            return "the first approval was sent after its time"
    return ""


@dataclass
class _World:
    """Clients and reviewers of a server that is now here, now there, now dead."""

    ledger: Ledger
    tokens: dict[str, str]
    session: aiohttp.ClientSession
    chance: random.Random
    url: str = ""
    ending: bool = False

    def everybody(self) -> list[Any]:
        """What goes on at the same time."""
        return [*(self.client() for _ in range(6)), *(self.reviewer(name) for name in ("Anna", "Bo", "Bo", "Cy", "Cleo")),
                *(self.poller() for _ in range(3))]  # fmt: skip

    async def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: object = None
    ) -> tuple[int, Any]:
        """One call; (0, None) where the server died before it had answered."""
        if not self.url:
            await asyncio.sleep(0.02)
            return 0, None
        try:
            async with self.session.request(method, self.url + path, json=body, headers=headers) as reply:
                return reply.status, await reply.json()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0, None

    async def client(self) -> None:
        """Asks one thing after another; what it is told to poll for is polled by others."""
        while not self.ending:
            if not self.url:
                await asyncio.sleep(0.02)
                continue
            number, work = len(self.ledger.asked) + 1, self.chance.choice(list(_WORK))
            by = self.chance.choice(("someone", "Anna", "Bo"))
            one = self.ledger.asked[number] = Asked(number, work, by, time.monotonic())
            body = {"model": work, "messages": [{"role": "user", "content": f"Question {number}."}]}
            headers = {"laneway-user": by, "laneway-sensitivity": "restricted" if work == "walled" else "confidential"}
            going = asyncio.create_task(self.call("POST", "/chat/completions", headers, body))
            if work == "waits" and self.chance.random() < 0.2:  # goes away while it waits
                await asyncio.sleep(0.05)
                going.cancel()
            with suppress(asyncio.CancelledError):
                status, told = await going
                self.ledger.answers[f"asked: {status}"] += 1
                if status == 200:
                    one.got.append((time.monotonic(), told["choices"][0]["message"]["content"]))
                elif status == 202:
                    one.told, one.poll = time.monotonic(), told["poll"].removeprefix("/v1")
            await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def poller(self) -> None:
        """Fetches what was released, now and then with a wrong ticket."""
        while not self.ending:
            waiting = [one for one in self.ledger.asked.values() if one.poll and not one.got and not one.refused]
            if waiting and self.url:
                await self.poll(self.chance.choice(waiting), wrong=self.chance.random() < 0.1)
            await asyncio.sleep(0.01)

    async def poll(self, one: Asked, *, wrong: bool = False) -> None:
        """One look."""
        path = one.poll.partition("=")[0] + "=guess" if wrong else one.poll
        status, told = await self.call("GET", path)
        self.ledger.answers[f"polled{' wrongly' * wrong}: {status}"] += 1
        if status == 200:
            one.got.append((time.monotonic(), told["choices"][0]["message"]["content"]))
        elif status >= 400 and not wrong:
            code = told["error"]["code"]
            self.ledger.answers[code] += 1
            one.refused = code if code.startswith("review_") else ""
            if code in ("review_rejected", "review_expired"):
                self.ledger.ended.setdefault(one.id, code)

    async def reviewer(self, name: str) -> None:
        """Takes an item, looks at it, and does something with it, right or wrong."""
        headers = {"authorization": f"Bearer {self.tokens[name]}"}
        while not self.ending:
            status, listed = await self.call("GET", "/reviews", headers)
            if status != 200 or not listed["data"]:
                await asyncio.sleep(0.02)
                continue
            id = self.chance.choice(listed["data"])["review"]
            status, item = await self.call("GET", f"/reviews/{id}", headers)
            if status == 200:
                await self.act(name, headers, id, item)

    async def act(self, name: str, headers: dict[str, str], id: str, item: dict[str, Any]) -> None:
        """What `name` does with it, noted before it is sent."""
        asked = item.get("request") or [{"content": "0"}]
        number = int(re.findall(r"\d+", asked[0]["content"])[0])
        if item.get("workload") == "short" and number % 3 == 0:  # these are decided about when their time is over
            told = self.ledger.asked[number].told if number in self.ledger.asked else None
            if told is None or time.monotonic() < told + _SHORT + 2 * _SLACK:
                await asyncio.sleep(0.01)
                return
        action = self.chance.choices(("approve", "edit", "reject", "send", "reclassify"), (5, 2, 2, 1, 1))[0]
        words = (item["edits"][-1] if item.get("edits") else item.get("answer") or {"text": ""})["text"]
        body: dict[str, object] = {"action": action, "comment": "c", "seen": item.get("seen", "")}
        if action == "edit":
            words = body["text"] = f"edit of {number} by {name}"
        elif action == "send":
            body["lane"] = self.chance.choice(("home", "premium"))
        elif action == "reclassify":
            words = body["text"] = f"extract of {number}"
            body["to"] = "internal"
        if self.chance.random() < 0.1:
            body["seen"] = "nothing of the kind"
        self.ledger.sent[number].append(Sent(time.monotonic(), name, action, words, str(body.get("lane", ""))))
        status, done = await self.call("POST", f"/reviews/{id}", headers, body)
        self.ledger.answers[f"{name if name == 'Cleo' else 'reviewed'}: {status}"] += 1
        if status == 200 and done["final"]:
            self.ledger.closed[number] = time.monotonic(), action
            self.ledger.ended[id] = action

    async def queued(self, url: str) -> None:
        """Hold what waits after a start against what must and what must not."""
        if not url:
            return
        self.url, before = url, set(self.ledger.ended)
        status, listed = await self.call("GET", "/reviews", {"authorization": f"Bearer {self.tokens['Cleo']}"})
        if status != 200:
            return
        waiting = {each["review"] for each in listed["data"]}
        self.ledger.queue += [f"{id} waits, and ended by {self.ledger.ended[id]}" for id in waiting & before]
        for one in self.ledger.asked.values():
            undecided = one.poll and one.work != "short" and not self.ledger.sent[one.number]
            if undecided and one.id not in waiting:
                self.ledger.queue.append(f"{one.id} ({one.work}) does not wait, and nobody decided about it")

    async def collect(self) -> None:
        """Ask for everything once more, until it is known what became of it, or its time is over."""
        end = time.monotonic() + 12
        for one in [one for one in self.ledger.asked.values() if one.poll and not one.got and not one.refused]:
            while not one.got and not one.refused and time.monotonic() < end:
                before = self.ledger.answers["polled: 202"]
                await self.poll(one)
                if self.ledger.answers["polled: 202"] > before:
                    break  # it waits for a person, and there are none any more


def _answer(lane: str) -> Callable[[dict[str, object]], str]:
    def said(body: dict[str, object]) -> str:
        text = json.dumps(body["messages"])
        extract = "extract of " if "extract of" in text else ""
        return f"{lane} answer to {extract}{re.findall(r'[0-9]+', text)[-1]}"

    return said


def _policy(home: str, premium: str) -> str:
    work = "".join(f"\n  {name}: {{sensitivity: internal}}" for name in _WORK if name != "flags")
    dear = "{input: 9.00, output: 30.00}"  # so that all goes outside that may
    text = policy_text(home, premium, home_price=dear, more_work=work, total="30s", first_byte="5s")
    wall = "  - {sensitivity: [restricted, confidential], zones: [ours], says: Restricted data stays at home.}\n"
    text = text.replace(wall, wall.replace(", confidential", "") + wall.replace("restricted, ", "").replace(
        "[ours]", "[ours, outside]"))  # fmt: skip
    rules = "".join(
        f"  - {{says: A person reads {name}., when: {{workload: {name}}}{more}}}\n"
        for name, more in (("walled", ""), ("pairs", ", eyes: 2"), ("waits", ", wait: 10s"), ("short", ", within: 60s"))
    )
    return text.rstrip() + "\n" + rules
