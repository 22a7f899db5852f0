"""A rich policy that proves, what it promises as a table of truth, and the many ways to break it or not to.

The truth stands apart from the policy: a request carries a marker that says what it is, and each capture server
stands for one true place. A mutant opens a path where a marker arrives at a place that the table forbids to it.
"""
# policies and tables keep one rule and one case a line

from __future__ import annotations

import asyncio
import datetime
import itertools
import random
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests.harness import Forgetful

from laneway.errors import GuardError, RequestError
from laneway.gateway import Active, Gateway
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import ScriptedLane
from laneway.refusal import Stopped
from laneway.store import Log

__all__ = [
    "CLASSES",
    "JUDGED",
    "KINDS",
    "PLACES",
    "SOUND",
    "Edits",
    "Kind",
    "World",
    "edited",
    "harmless",
    "named",
    "opening",
    "world",
]

TODAY = datetime.datetime.now(datetime.UTC).date()
LATER = TODAY + datetime.timedelta(days=60)
CLASSES = ("public", "internal", "confidential", "restricted")
PLACES = ("home", "rack", "shared", "premium")

SOUND = f"""\
laneway: 1
name: Fjord Legal
currency: EUR

sensitivity: [public, internal, confidential, restricted]
unlabelled: {{sensitivity: internal, difficulty: auto, latency: interactive}}

lanes:
  home: {{kind: local, provider: openai, url: "@home", model: home-model, price: 0}}
  rack: {{kind: private, provider: openai, url: "@rack", model: rack-model, runs: NO, stores: NO, price: {{input: 0.10, output: 0.20}}}}
  shared: {{kind: managed-open, provider: openai, url: "@shared", model: shared-model, address: private-allowed, runs: DE, stores: [DE, FR], owner: FR, dpa: 2026-01-15, price: {{input: 1.80, output: 5.40}}, verified: {TODAY}}}
  premium: {{kind: premium, provider: openai, url: "@premium", model: premium-model, address: private-allowed, runs: US, stores: US, owner: US, dpa: 2026-02-01, transfer: DPF, price: {{input: 3.00, output: 15.00}}, verified: {TODAY}}}
strength: [home, rack, shared, premium]
networks: [127.0.0.0/8]

zones:
  ours: {{kind: [local, private]}}
  eea: {{runs: EEA, stores: EEA, dpa: signed}}
  world: {{dpa: signed, transfer: valid}}
  outside: {{kind: [managed-open, premium]}}
  american: {{owner: US}}

wall:
  - {{sensitivity: restricted, zones: [ours], says: What is restricted never leaves our own machines.}}
  - {{sensitivity: confidential, zones: [ours, eea], says: Confidential work stays here or under contract in the EEA.}}
  - {{sensitivity: [internal, public], zones: [ours, eea, world], says: The rest may go further.}}
  - {{id: merger, when: {{matter: merger}}, zones: [ours], says: The merger is not discussed with anyone outside.}}
  - {{id: board, when: {{team: board, sensitivity: {{at_least: internal}}}}, zones: [ours, eea], says: What the board asks stays in the EEA.}}

facts:
  matter: {{values: [merger, patent, none]}}
  pages: {{from: 0, to: 5000}}

detect: {{says: An identifier of a person makes a text restricted., identifiers: {{card: confidential, "*": restricted}}, unreadable: restricted}}

workloads:
  contract-review: {{sensitivity: confidential, stakes: high, latency: background, says: Contracts are read line by line.}}
  payroll: {{sensitivity: restricted, says: Salaries are nobody's business.}}
  chat: {{latency: interactive}}

routes:
  - {{id: hard-first, says: Demanding work begins with the best lane that it may use., when: {{any: [{{difficulty: hard}}, {{stakes: high}}]}}, try: strongest}}
  - {{id: long, says: Long texts begin with the safest lane., when: {{pages: {{over: 100}}}}, try: safest}}
  - {{id: rest, says: All else begins with the cheapest., try: cheapest}}

gate:
  says: A doubtful answer is asked once more of a stronger lane.
  checks: [empty, cut-off]
  waiver: {{lanes: [home, rack, shared, premium], until: {LATER}, by: The head of platform}}
  weak: [strongest, refuse]

fallbacks:
  - {{id: waiting, says: High stakes at the board wait for a person., when: {{stakes: high, team: board}}, then: hold}}
  - {{id: inside, says: Confidential work falls back to our own machines only., when: {{sensitivity: {{at_least: confidential}}}}, then: [ours, refuse]}}
  - {{id: on, says: Other work takes the next lane., then: [next, refuse]}}

must:
  - {{says: Restricted data is seen by our own machines only., never: {{sensitivity: restricted, lane: {{name: [shared, premium]}}}}}}
  - {{says: Confidential data never goes to America., never: {{sensitivity: [confidential, restricted], lane: {{name: premium}}}}}}
  - {{says: Nobody outside learns of the merger., never: {{matter: merger, lane: {{name: [shared, premium]}}}}}}
  - {{says: Contracts stay in the EEA., never: {{workload: contract-review, lane: {{name: premium}}}}}}
  - {{says: Salaries stay with us., never: {{workload: payroll, lane: {{name: [shared, premium]}}}}}}
  - {{says: What the board asks never goes to America., never: {{team: board, sensitivity: {{not: public}}, lane: {{name: premium}}}}}}
"""

JUDGED = SOUND.replace("  weak: [strongest, refuse]", "  judge: safest\n  weak: [strongest, refuse]")
"""The same policy with answers judged by a lane."""


@dataclass(frozen=True)
class Kind:
    """One kind of request: its marker, what it is in truth, and what its client sends."""

    marker: str
    truth: str
    headers: dict[str, str]
    model: str = "auto"
    text: str = ""

    def shut(self, place: str) -> bool:
        """Whether the promises of `SOUND` keep it from a place."""
        told = self.headers
        secret = told.get("laneway-fact-matter", "merger") == "merger"  # unsaid may be the merger
        board = told.get("laneway-team") == "board" and self.truth != "public"
        if place == "premium":
            return self.truth in ("confidential", "restricted") or secret or board
        return place == "shared" and (self.truth == "restricted" or secret)

    def body(self, *, stream: bool) -> bytes:
        """The request as its client sends it."""
        messages = [{"role": "user", "content": f"[{self.marker}] Hello there. {self.text}"}]
        return msgspec.json.encode({"model": self.model, "messages": messages, "stream": stream})


def _kinds() -> Iterator[Kind]:
    patent = {"laneway-fact-matter": "patent"}
    for truth in CLASSES:
        label = {"laneway-sensitivity": truth}
        for matter in ("merger", "patent", ""):
            yield Kind(f"{truth}-{matter}", truth, label | ({"laneway-fact-matter": matter} if matter else {}))
        yield Kind(f"{truth}-stakes", truth, label | patent | {"laneway-stakes": "high"})
        yield Kind(f"{truth}-pages", truth, label | patent | {"laneway-fact-pages": "300"})
        yield Kind(f"{truth}-board", truth, label | patent | {"laneway-team": "board"})
        yield Kind(f"{truth}-batch", truth, label | patent | {"laneway-latency": "batch"})
        yield Kind(f"{truth}-pin", truth, label | patent, "lane/premium")
        yield Kind(f"{truth}-pin-shared", truth, label | patent, "lane/shared")
    yield Kind("contract", "confidential", patent, "contract-review")
    yield Kind("payroll", "restricted", patent, "payroll")
    yield Kind("payroll-public", "restricted", patent | {"laneway-sensitivity": "public"}, "payroll")
    yield Kind("unlabelled", "internal", patent)
    yield Kind(
        "identifier", "restricted", patent | {"laneway-sensitivity": "public"}, text="SE personnummer 19811218-9876"
    )


KINDS = tuple(_kinds())


# the real gateway before capture servers


class _Client:
    """A client that takes whatever it is given."""

    started = False

    async def begin(self, headers: dict[str, str], *, stream: bool) -> None:
        self.started = True

    async def write(self, data: bytes) -> None:
        """Nobody reads it."""

    async def finish(self, data: bytes, headers: dict[str, str], *, stream: bool) -> None:
        self.started = True


@dataclass
class World:
    """The capture servers by true place, and one log."""

    lanes: dict[str, ScriptedLane]
    log: Log
    guarded: int = 0
    sent: int = 0
    _archived: set[str] = field(default_factory=set)

    def text(self, source: str) -> str:
        """A policy's text with the lanes' addresses."""
        return re.sub(r"@(\w+)", lambda found: self.lanes[found[1]].url, source)

    def policy(self, source: str) -> Policy:
        """The policy over these lanes."""
        return parse(self.text(source), "mutant.yaml")

    async def leaks(self, policy: Policy) -> set[tuple[str, str]]:
        """(marker, place) of what arrived where it must not; the rest is not asked once something did.

        For each lane all others are down, so that every hop of every plan is taken; then all answers are weak, also
        with one lane down; then all is well.
        """
        provider = HttpProvider(policy.lanes, {}, policy.networks)
        gateway = Gateway(self.log, Active(policy, provider, provider.closed))
        gateway.traffic = Forgetful()
        if policy.hash not in self._archived:
            self._archived.add(policy.hash)
            self.log.archive(policy.hash, policy.text)
        try:
            for down, rest in self._outages():
                for name, lane in self.lanes.items():
                    lane.fault = "503" if name in down else "empty" if rest == "weak" else None
                    lane.seen.clear()
                await asyncio.gather(*(self._ask(gateway, kind, stream=i % 2 == 1) for i, kind in enumerate(KINDS)))
                if found := self._arrived():
                    return found
        finally:
            await provider.close()
        return set()

    def _outages(self) -> Iterator[tuple[set[str], str]]:
        for name in reversed(PLACES):
            yield {*PLACES} - {name}, "well"
        yield set(), "weak"
        for name in PLACES:
            yield {name}, "weak"
        yield set(), "well"

    async def _ask(self, gateway: Gateway, kind: Kind, *, stream: bool) -> None:
        self.sent += 1
        try:
            await gateway.chat(kind.body(stream=stream), kind.headers, _Client())
        except Stopped as stopped:
            self.guarded += stopped.code == "guard_stopped"
        except RequestError:
            pass

    def _arrived(self) -> set[tuple[str, str]]:
        by_marker = {kind.marker: kind for kind in KINDS}
        found = set()
        for place, lane in self.lanes.items():
            for seen in lane.seen:
                marker = re.search(rb"\[([a-z-]+)\]", seen.raw)
                assert marker is not None
                if by_marker[marker[1].decode()].shut(place):
                    found.add((marker[1].decode(), place))
        return found


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    """Capture servers and a log."""
    async with (
        ScriptedLane(model="home-model") as home,
        ScriptedLane(model="rack-model") as rack,
        ScriptedLane(model="shared-model") as shared,
        ScriptedLane(model="premium-model") as premium,
    ):
        log = await asyncio.to_thread(Log.open, directory / "mutants.db")
        try:
            yield World(dict(zip(PLACES, (home, rack, shared, premium), strict=True)), log)
        finally:
            with suppress(GuardError):
                await asyncio.to_thread(log.close)


# mutants

Edits = tuple[tuple[str, str], ...]


def edited(edits: Edits, source: str = SOUND) -> str | None:
    """The text with each edit's one place changed; None where an earlier edit took that place away."""
    for old, new in edits:
        if source.count(old) != 1:
            return None
        source = source.replace(old, new)
    return source


_ZONES = ("ours", "eea", "world", "outside", "american")
_KINDS = ("local", "private", "managed-open", "premium")


def _subsets(words: tuple[str, ...]) -> Iterator[str]:
    for n in range(1, len(words) + 1):
        for chosen in itertools.combinations(words, n):
            yield f"[{', '.join(chosen)}]"


def opening() -> list[tuple[str, Edits]]:
    """(family, edits) of mutants that may open a path; whether one does, the capture servers say."""
    made: list[tuple[str, Edits]] = []

    def add(family: str, *edits: tuple[str, str]) -> None:
        made.append((family, edits))

    rows = ("sensitivity: restricted, zones: [ours]", "sensitivity: confidential, zones: [ours, eea]",
            "sensitivity: [internal, public], zones: [ours, eea, world]")  # fmt: skip
    for row, zones in itertools.product(rows, _subsets(_ZONES)):
        add("zones of a row", (row, f"{row.partition('zones')[0]}zones: {zones}"))
    for zones, classes in itertools.product(("[ours, eea, world]", "[ours, eea]"), _subsets(CLASSES)):
        row = next(row for row in rows if row.endswith(zones))
        add("classes of a row", (row, f"sensitivity: {classes}, zones: {zones}"))
    limits = ("{matter: merger}, zones: [ours]", "at_least: internal}}, zones: [ours, eea]")
    for limit, zones in itertools.product(limits, _subsets(_ZONES)):
        add("zones of a limit", (limit, f"{limit.partition('zones')[0]}zones: {zones}"))
    for id in ("merger", "board"):
        line = next(line for line in SOUND.splitlines(keepends=True) if f"id: {id}," in line)
        add("a limit dropped", (line, ""))
    whens = ("stakes: high", "stakes: normal", "latency: batch", "latency: {not: batch}", "workload: chat", "needs: tools",
             "difficulty: hard", "tokens: {over: 1000}", "pages: {over: 100}", "region: SE", "not: {workload: payroll}")  # fmt: skip
    for more in (*whens, "team: board", "sensitivity: restricted", "sensitivity: {at_least: internal}"):
        add("a limit narrowed", ("{matter: merger}", f"{{matter: merger, {more}}}"))
    for more in whens:
        add("a limit narrowed", ("when: {team: board, s", f"when: {{team: board, {more}, s"))
    for other in (
        "{matter: patent}",
        "{matter: none}",
        "{not: {matter: merger}}",
        "{matter: [patent, none]}",
        "{stakes: high}",
    ):
        add("a limit of something else", ("{matter: merger}, z", f"{other}, z"))
    for other in ("{at_least: confidential}", "restricted", "{under: internal}", "public"):
        add("a limit of something else", ("sensitivity: {at_least: internal}", f"sensitivity: {other}"))
    add("a limit of something else", ("when: {team: board, ", "when: {team: press, "))
    add("a limit of something else", ("when: {team: board, ", "when: {team: {not: board}, "))
    for kinds in _subsets(_KINDS):
        add("what a zone holds", ("ours: {kind: [local, private]}", f"ours: {{kind: {kinds}}}"))
    where = ("runs: EEA", "runs: [EEA, US]", "runs: US", "")
    for runs, stores, dpa in itertools.product(where, ("stores: EEA", "stores: [EEA, US]", ""), ("dpa: signed", "")):
        stated = ", ".join(filter(None, (runs, stores, dpa)))
        if stated:
            add("what a zone holds", ("eea: {runs: EEA, stores: EEA, dpa: signed}", f"eea: {{{stated}}}"))
    for lanes in _subsets(PLACES):
        add("what a zone holds", ("ours: {kind: [local, private]}", f"ours: {{lanes: {lanes}}}"))
        add("what a zone holds", ("eea: {runs: EEA, stores: EEA, dpa: signed}", f"eea: {{lanes: {lanes}}}"))
    for kind in ("private", "local"):
        add("a lane's kind", ("kind: premium, provider", f"kind: {kind}, provider"))
        add("a lane's kind", ("kind: managed-open, provider", f"kind: {kind}, provider"))
    for runs, stores in itertools.product(("DE", "NO", "[DE, SE]", "EEA"), ("DE", "FR", "EEA")):
        add("a lane's place", ("runs: US, stores: US", f"runs: {runs}, stores: {stores}"))
    add("a lane's place", ("runs: US, stores: US", "runs: DE, stores: US, retention: 0d"))
    for label in ("sensitivity: public, ", "sensitivity: internal, ", ""):
        add("a workload's class", ("{sensitivity: confidential, stakes: high, ", f"{{{label}stakes: high, "))
    for label in ("sensitivity: public, ", "sensitivity: internal, ", "sensitivity: confidential, ", ""):
        add("a workload's class", ("{sensitivity: restricted, says: Sal", f"{{{label}says: Sal"))
    for order in itertools.permutations(CLASSES):
        add(
            "the order of classes",
            ("sensitivity: [public, internal, confidential, restricted]", f"sensitivity: [{', '.join(order)}]"),
        )
    return made


def named() -> list[tuple[str, Edits]]:
    """Mutants whose rules name a lane that the wall still keeps from some request: no bytes, but not understood."""
    made: list[tuple[str, Edits]] = []
    words = (
        "premium",
        "shared",
        "[premium, refuse]",
        "[shared, ours]",
        "world",
        "eea",
        "outside",
        "[ours, world, hold]",
    )
    rules = (("try: strongest", "try"), ("try: safest", "try"), ("try: cheapest", "try"),
             ("then: [ours, refuse]", "then"), ("then: [next, refuse]", "then"), ("weak: [strongest, refuse]", "weak"))  # fmt: skip
    for (rule, key), word in itertools.product(rules, words):
        made.append((f"`{key}` names a lane", ((rule, f"{key}: {word}"),)))
    weak = "  weak: [strongest, refuse]"
    for word in ("premium", "shared", "world", "eea", "outside", "[ours, world]", "[safest, premium]"):
        made.append(("`judge` names a lane", ((weak, f"  judge: {word}\n{weak}"),)))
    for key, word in itertools.product(("lanes", "judge"), ("premium", "shared", "world", "eea", "[ours, outside]")):
        told = ", ".join(f"{name}: {value}" for name, value in ({"lanes": "home"} | {key: word}).items())
        rule = f"shadow:\n  - {{says: Tried., {told}, share: 0.5, budget: 1, until: {LATER}}}\n"
        made.append(("a shadow names a lane", (("gate:\n", f"{rule}gate:\n"),)))
    return made


# harmless


def harmless(random_: random.Random, most: int = 5) -> str:
    """A text that means the same: some of its edits are made, in an order that does not matter."""
    text = SOUND
    for edit in random_.sample(_SAME, random_.randint(1, most)):
        text = edit(text, random_)
    return text


def _lines(text: str, start: str) -> tuple[list[str], int, int]:
    lines = text.splitlines(keepends=True)
    at = lines.index(start + "\n") + 1
    end = next(i for i in range(at, len(lines) + 1) if i == len(lines) or not lines[i].startswith("  "))
    return lines, at, end


def _shuffled(section: str):  # type: ignore[no-untyped-def]
    """Entries of a section whose order says nothing."""

    def edit(text: str, random_: random.Random) -> str:
        lines, at, end = _lines(text, section)
        inside = lines[at:end]
        random_.shuffle(inside)
        return "".join((*lines[:at], *inside, *lines[end:]))

    return edit


def _renamed(text: str, random_: random.Random) -> str:
    return re.sub(r"id: [\w-]+", lambda found: f"{found[0]}-{random_.randint(1, 999)}", text)


def _resaid(text: str, random_: random.Random) -> str:
    says = re.findall(r"says: ([^,}\n]+)", text)
    return text.replace(says[random_.randrange(len(says))], f"Sentence number {random_.randint(1, 9999)}.")


def _commented(text: str, random_: random.Random) -> str:
    lines = text.splitlines()
    at = random_.randrange(1, len(lines))
    return "\n".join((*lines[:at], f"# note {random_.randint(1, 9999)}", *lines[at:])) + "\n"


def _spaced(text: str, random_: random.Random) -> str:
    lines = text.splitlines()
    at = random_.randrange(1, len(lines))
    return "\n".join((*lines[:at], "", *lines[at:])) + "\n"


def _blocks(text: str, random_: random.Random) -> str:
    """A rule of one line as a block."""
    rules = re.findall(r"^  - \{(?:id: [\w-]+, )?says: [^,}]+, when: .+\}$", text, re.M)
    if not rules:
        return text
    rule = random_.choice(rules)
    parts = re.fullmatch(r"  - \{((?:id: [\w-]+, )?)(says: [^,}]+), (when: .+), ((?:try|then): .+)\}", rule)
    assert parts is not None
    inner = [parts[1].removesuffix(", "), *parts.groups()[1:]]
    return text.replace(rule, "  - " + "\n    ".join(filter(None, inner)))


def _said_otherwise(text: str, random_: random.Random) -> str:
    """Conditions, zones and lists in other words."""
    pairs = [
        ("{at_least: confidential}", "[confidential, restricted]"), ("{at_least: confidential}", "{over: internal}"),
        ("{at_least: confidential}", "{not: {at_most: internal}}"), ("{at_least: confidential}", "{not: [public, internal]}"),
        ("sensitivity: {at_least: internal}", "sensitivity: {not: public}"), ("{at_least: internal}", "[internal, confidential, restricted]"),
        ("{any: [{difficulty: hard}, {stakes: high}]}", "{any: [{stakes: high}, {difficulty: hard}]}"),
        ("{any: [{difficulty: hard}, {stakes: high}]}", "{not: {all: [{stakes: normal}, {difficulty: {not: hard}}]}}"),
        ("{stakes: high, team: board}", "{all: [{team: board}, {stakes: {not: normal}}]}"),
        ("{matter: merger}, z", "{not: {matter: [patent, none]}}, z"), ("{matter: merger}, z", "{any: [{matter: merger}]}, z"),
        ("{matter: merger}, z", "{not: {not: {matter: merger}}}, z"), ("{pages: {over: 100}}", "{not: {pages: {at_most: 100}}}"),
        ("kind: [local, private]}", "kind: [private, local]}"), ("ours: {kind: [local, private]}", "ours: {lanes: [home, rack]}"),
        ("outside: {kind: [managed-open, premium]}", "outside: {lanes: [shared, premium]}"), ("american: {owner: US}", "american: {lanes: [premium]}"),
        ("eea: {runs: EEA, stores: EEA, dpa: signed}", "eea: {runs: [EU, NO, IS, LI], stores: [EU, NO, IS, LI], dpa: signed}"),
        ("eea: {runs: EEA, stores: EEA, dpa: signed}", "eea: {lanes: [shared, rack], runs: EEA, stores: EEA, dpa: signed}"),
        ("zones: [ours, eea, world]", "zones: [world, eea, ours]"), ("zones: [ours, eea], says: Con", "zones: [eea, ours], says: Con"),
        ("sensitivity: [internal, public], zones", "sensitivity: [public, internal], zones"),
        ("sensitivity: confidential, zones", "sensitivity: [confidential], zones"), ("checks: [empty, cut-off]", "checks: [cut-off, empty]"),
        ("then: [ours, refuse]", "then: ours"), ("then: [next, refuse]", "then: next"), ("try: cheapest", "try: [cheapest]"),
        ("weak: [strongest, refuse]", "weak: strongest"), ("stores: [DE, FR]", "stores: [FR, DE]"),
        ("{matter: merger, lane: {name: [shared, premium]}}", "{matter: merger, lane: {name: {not: [home, rack]}}}"),
        ("{sensitivity: restricted, lane: {name: [shared, premium]}}", "{sensitivity: restricted, lane: {kind: {not: [local, private]}}}"),
        ("{sensitivity: [confidential, restricted], lane: {name: premium}}", "{sensitivity: {at_least: confidential}, lane: {runs: {not: EEA}, kind: {not: [local, private]}}}"),
    ]  # fmt: skip
    old, new = random_.choice(pairs)
    return text.replace(old, new) if text.count(old) == 1 else text


def _split(text: str, random_: random.Random) -> str:
    """A row for two classes as two rows."""
    row = re.search(r"  - \{sensitivity: \[(\w+), (\w+)\], (zones: .+)\}\n", text)
    if row is None:
        return text
    return text.replace(row[0], "".join(f"  - {{sensitivity: {c}, {row[3]}}}\n" for c in row.groups()[:2]))


_SAME = [
    _shuffled("wall:"), _shuffled("lanes:"), _shuffled("zones:"), _shuffled("workloads:"), _shuffled("must:"), _shuffled("facts:"),
    _renamed, _resaid, _resaid, _commented, _spaced, _blocks, _blocks, _said_otherwise, _said_otherwise, _said_otherwise, _split,
]  # fmt: skip
