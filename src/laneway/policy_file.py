"""policy_file: a policy file's text in, a checked Policy out, or every problem with its place.

The grammar's small parts are in `grammar`, strict YAML in `yaml_nodes`; this module owns the top level,
the names that rules refer to, and what must agree across the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from laneway.addresses import within
from laneway.condition import ALWAYS
from laneway.errors import shown
from laneway.grammar import RANKINGS, Names, approval, bar, condition, currency, fact_type, network
from laneway.grammar_keep import capture, retention
from laneway.grammar_lanes import lane, lane_tests, zone
from laneway.grammar_review import KEYS as REVIEW_KEYS
from laneway.grammar_review import review
from laneway.grammar_shadow import shadow
from laneway.grammar_work import unlabelled, workload
from laneway.lane import Lane, Zone
from laneway.policy import (
    FRESH_DAYS,
    Deadline,
    Detect,
    Gate,
    Grant,
    Limit,
    Must,
    Policy,
    Ranking,
    Retention,
    Review,
    Rule,
    Waiver,
)
from laneway.seal import meaning
from laneway.signals import LATENCIES
from laneway.source import read_source
from laneway.yaml_nodes import (
    Entries,
    Node,
    Reading,
    compose,
    date,
    each,
    listed,
    number,
    one_of,
    seconds,
    text,
)

__all__ = ["CHECKS", "IDENTIFIERS", "RANKINGS", "load", "parse"]

T = TypeVar("T")

CHECKS = ("empty", "cut-off", "invalid-json", "tool-call", "refusal", "contract")
IDENTIFIERS = ("se.personnummer", "no.fodselsnummer", "dk.cpr", "fi.hetu", "de.idnr", "iban", "card")
_STOPS = ("hold", "refuse", "marked")
_RESERVED = {*RANKINGS, *_STOPS, "auto", "lane"}
_TOP = (
    "laneway", "name", "approved", "currency", "sensitivity", "unlabelled", "lanes", "strength", "zones",
    "wall", "workloads", "routes", "gate", "deadlines", "fallbacks", "reviews", "shadow", "capture",
    "retention", "must", "facts", "detect", "networks",
)  # fmt: skip


def load(path: Path) -> Policy:
    """The policy in the file at `path`. Raises PolicyError with every problem found."""
    return parse(read_source(path, "`laneway init DIR` writes a starter"), str(path))


def parse(source: str, file: str = "policy") -> Policy:
    """The policy in `source`; `file` names it in problems. Raises PolicyError."""
    reading = Reading(file)
    root = compose(source, file)
    policy = reading.attempt(lambda node, r: _File(node, r).policy(source), root)
    reading.finish()
    assert policy is not None
    return policy


class _File:
    """The top level of one file: reads in the order in which names depend on each other."""

    def __init__(self, root: Node, reading: Reading) -> None:
        self.r = reading
        self.top = Entries(root, reading, _TOP, "a policy")
        self.names = Names()
        self.lanes: dict[str, Lane] = {}
        self.zones: dict[str, Zone] = {}
        self.todos: list[Rule] = []
        self.ids: set[str] = set()

    def policy(self, source: str) -> Policy:
        top, what = self.top, "a policy"
        if top.need("laneway", text, what) != "1":
            self.r.note(top.nodes["laneway"], "this Laneway reads grammar 1; write `laneway: 1`")
        self.names.classes = self._classes()
        self.names.facts = self._named("facts", fact_type)
        workload_nodes = top.get("workloads", self._entries("workloads"))
        self.names.workloads = tuple(workload_nodes.nodes) if workload_nodes else ()
        if "lanes" not in top.nodes:
            self.r.fail(top.node, "a policy needs `lanes`")
        self.lanes = self._named("lanes", lane)
        self.zones = self._named("zones", lambda n, node, r: zone(n, node, r, self.lanes))
        self._distinct_names()
        wall = self._rules("wall", self._wall)
        networks = top.get("networks", each(network)) or ()
        approved = top.get("approved", approval)
        self._private_is_ours(networks)
        workloads = self._named("workloads", workload(self.names))
        gate = top.get("gate", self._gate) or Gate()
        if "contract" not in gate.checks and any(work.output for work in workloads.values()):
            gate = replace(gate, checks=(*gate.checks, "contract"))
        if gate.bar is None and any(work.evals for work in workloads.values()):
            self.r.note(top.nodes["workloads"], "`evals` measure lanes against a bar, and the gate has none: write "
                        "`gate: {evidence: {score: 0.85, confidence: 0.95}}`")  # fmt: skip
        return Policy(
            name=top.need("name", text, what),
            text=source,
            hash=hashlib.sha256(source.encode()).hexdigest(),
            file=self.r.file,
            currency=top.need("currency", currency, what),
            classes=self.names.classes,
            unlabelled=top.need("unlabelled", unlabelled(self.names), what),
            lanes=self.lanes,
            strength=self._strength(),
            zones=self.zones,
            grants=tuple(rule for rule in wall if isinstance(rule, Grant)),
            limits=tuple(rule for rule in wall if isinstance(rule, Limit)),
            workloads=workloads,
            routes=self._rules("routes", self._ranking("try", ("hold", "refuse"))),
            fallbacks=self._rules("fallbacks", self._ranking("then", ("hold", "refuse"))),
            gate=gate,
            deadlines=top.get("deadlines", self._deadlines) or {},
            reviews=self._rules("reviews", self._review),
            shadows=self._rules("shadow", lambda id, e: shadow(e, self.r, self.lanes, self.zones, self._shared(id, e))),
            captures=self._rules("capture", lambda id, e: capture(e, self.r, self._shared(id, e))),
            retentions=self._retentions(),
            must=self._rules("must", self._must),
            detect=top.get("detect", self._detect) or self._strictest(),
            facts=self.names.facts,
            approval=approved,
            meaning=meaning(top.node, approved.review_every if approved else FRESH_DAYS),
            networks=networks,
            todos=tuple(self.todos),
        )

    # names

    def _classes(self) -> tuple[str, ...]:
        classes = self.top.need("sensitivity", each(text), "a policy")
        if not classes or len(set(classes)) != len(classes):
            self.r.fail(self.top.nodes["sensitivity"], "`sensitivity` lists each class once, least to most")
        return classes

    def _entries(self, what: str) -> Callable[[Node, Reading], Entries]:
        return lambda node, reading: Entries(node, reading, None, f"`{what}`")

    def _named(self, key: str, reader: Callable[[str, Node, Reading], T]) -> dict[str, T]:
        entries = self.top.get(key, self._entries(key))
        made: dict[str, T] = {}
        for name, node in (entries.nodes if entries else {}).items():
            if name in _RESERVED or not name.replace("-", "").replace("_", "").isalnum():
                self.r.note(node, f"`{shown(name)}` cannot be a name in `{key}`: use letters, digits, - and _, "
                            "and no word of the grammar")  # fmt: skip
            value = self.r.attempt(lambda n, r, name=name: reader(name, n, r), node)  # type: ignore[misc]
            if value is not None:
                made[name] = value
        return made

    def _distinct_names(self) -> None:
        for name in self.lanes.keys() & self.zones.keys():
            self.r.note(self.top.nodes["zones"], f"`{name}` names both a lane and a zone; rename one")

    def _private_is_ours(self, networks: tuple[str, ...]) -> None:
        for made in self.lanes.values():
            node, proxy = self.top.nodes["lanes"], made.proxy
            if proxy and not made.private_address and (not networks or within(proxy.host, networks) is False):
                told = "has a proxy in none of your `networks`; add its network, or say `address: private-allowed`"
                self.r.note(node, f"lane `{made.name}` {told}")
            if made.kind != "private" or made.url.startswith("unix:"):
                continue
            if not networks:
                self.r.note(node, f"lane `{made.name}` is `private`: say under `networks` which networks are yours")
            elif within(urlsplit(made.url).hostname or "", networks) is False:
                self.r.note(node, f"lane `{made.name}` is `private`, but its address is in none of your `networks`")

    def _strength(self) -> tuple[str, ...]:
        strength = self.top.need("strength", each(one_of(self.lanes, "lane")), "a policy")
        missing = [name for name in self.lanes if name not in strength]
        if missing or len(set(strength)) != len(strength):
            self.r.note(self.top.nodes["strength"], "`strength` lists every lane once, weakest to strongest"
                        + (f"; missing: {', '.join(missing)}" if missing else ""))  # fmt: skip
        return strength

    # rules

    def _rules(self, key: str, reader: Callable[[str, Entries], T]) -> tuple[T, ...]:
        nodes = self.top.get(key, each(lambda node, r: Entries(node, r, _RULE_KEYS[key], f"this `{key}` rule")))
        made = []
        for i, entries in enumerate(nodes or ()):
            id = entries.get("id", text) or f"{key}[{i}]"
            if id in self.ids:
                self.r.note(entries.node, f"two rules have the id `{shown(id)}`; give each its own, as records cite it")
            self.ids.add(id)
            if entries.nodes.keys() - {"id"} == {"says"}:  # a sentence without a rule
                self.todos.append(Rule(id=id, says=entries.need("says", text, "a rule"), line=entries.line))
            else:
                made.append(self.r.attempt(lambda _, __, id=id, e=entries: reader(id, e), entries.node))  # type: ignore[misc]
        return tuple(rule for rule in made if rule is not None)

    def _shared(self, id: str, entries: Entries) -> dict[str, Any]:
        when = entries.get("when", lambda n, r: condition(n, r, self.names))
        return {
            "id": id,
            "says": entries.get("says", text) or "",
            "line": entries.line,
            "when": when or ALWAYS,
        }

    def _zone_names(self, entries: Entries) -> tuple[str, ...]:
        return entries.need("zones", each(one_of(self.zones, "zone")), "a wall entry")

    def _wall(self, id: str, entries: Entries) -> Grant | Limit:
        return self._limit(id, entries) if "when" in entries.nodes else self._grant(id, entries)

    def _grant(self, id: str, entries: Entries) -> Grant:
        classes = entries.need("sensitivity", listed(one_of(self.names.classes, "class")), "a wall entry")
        zones = self._zone_names(entries)
        return Grant(**self._shared(id, entries), classes=frozenset(classes), zones=zones)

    def _limit(self, id: str, entries: Entries) -> Limit:
        if "sensitivity" in entries.nodes:
            self.r.note(entries.keys["sensitivity"], "a wall entry is either a row of the table "
                        "(`sensitivity`) or a limit (`when`); put the class into `when`")  # fmt: skip
        return Limit(**self._shared(id, entries), zones=self._zone_names(entries))

    def _ranking(self, key: str, stops: tuple[str, ...]) -> Callable[[str, Entries], Ranking]:
        def read(id: str, entries: Entries) -> Ranking:
            words = entries.need(key, listed(self._word(stops)), f"a rule with `{key}`")
            kept, stop = self._split(words, entries.nodes[key])
            return Ranking(**self._shared(id, entries), words=kept, stop=stop)  # type: ignore[arg-type]

        return read

    def _word(self, stops: tuple[str, ...]) -> Callable[[Node, Reading], str]:
        return one_of((*RANKINGS, *stops, *self.lanes, *self.zones), "lane, zone or ranking word")

    def _split(self, words: tuple[str, ...], node: Node) -> tuple[tuple[str, ...], str]:
        if not words:
            self.r.fail(node, "expected at least one word here")
        if any(word in _STOPS for word in words[:-1]):
            self.r.fail(node, "nothing can follow hold, refuse or marked")
        return (words[:-1], words[-1]) if words[-1] in _STOPS else (words, "refuse")

    def _review(self, id: str, entries: Entries) -> Review:
        return review(entries, self.r, self._shared(id, entries))

    def _retentions(self) -> tuple[Retention, ...]:
        made = self._rules("retention", lambda id, e: retention(e, self.r, self.names.classes, self._shared(id, e)))
        twice = [c for c in self.names.classes if sum(c in rule.classes for rule in made) > 1]
        if twice:
            self.r.note(self.top.nodes["retention"], f"{', '.join(twice)} has two times: name each class once")
        return made

    def _must(self, id: str, entries: Entries) -> Must:
        node = entries.nodes.get("never")
        if node is None:
            self.r.fail(entries.node, "a `must` needs `never`")
        when = condition(node, self.r, self.names, extra=("lane", "cost"))
        never = Entries(node, self.r, None, "`never`")
        cost = never.get("cost", lambda n, r: Entries(n, r, ("over",), "`cost`").need("over", number, "`cost`"))
        tests = never.get("lane", lambda n, r: lane_tests(n, r, self.lanes)) or ()
        if not never.nodes:
            self.r.fail(node, "an empty `never` forbids everything; name a fact, a lane or a cost")
        if "when" in entries.nodes:
            self.r.note(entries.keys["when"], "a `must` takes its condition inside `never`")
        return Must(id=id, says=entries.get("says", text) or "", line=entries.line, when=when, lane=tests,
                    cost_over=cost)  # fmt: skip

    # sections

    def _gate(self, node: Node, reading: Reading) -> Gate:
        entries = Entries(node, reading, ("says", "checks", "judge", "evidence", "waiver", "weak"), "`gate`")
        weak = entries.get("weak", listed(self._word(("hold", "refuse", "marked")))) or ("refuse",)
        words, stop = self._split(weak, entries.nodes.get("weak", node))
        waivers = entries.get("waiver", listed(self._waiver)) or ()
        judge = entries.get("judge", listed(self._word(()))) or ()
        if "judge" in entries.nodes and not judge:
            self.r.fail(entries.nodes["judge"], "expected at least one word here: who judges, such as `safest`")
        checks = entries.get("checks", each(one_of(CHECKS, "check"))) or ()
        return Gate(
            says=entries.get("says", text) or "",
            line=entries.line,
            checks=(*checks, "judge") if judge else checks,
            judge=judge,
            bar=entries.get("evidence", bar),
            waivers=tuple(_numbered(waivers)),
            weak=words,
            weak_stop=stop,  # type: ignore[arg-type]  # one of _STOPS
        )

    def _waiver(self, node: Node, reading: Reading) -> Waiver:
        entries = Entries(node, reading, ("lanes", "until", "by", "workloads", "says"), "`waiver`")
        workloads = entries.get("workloads", each(one_of(self.names.workloads, "workload")))
        return Waiver(
            id="gate.waiver",
            says=entries.get("says", text) or "",
            line=entries.line,
            lanes=frozenset(entries.need("lanes", each(one_of(self.lanes, "lane")), "a waiver")),
            until=entries.need("until", date, "a waiver"),
            by=entries.need("by", text, "a waiver"),
            workloads=None if workloads is None else frozenset(workloads),
        )

    def _deadlines(self, node: Node, reading: Reading) -> dict[str, Deadline]:
        entries = Entries(node, reading, LATENCIES, "`deadlines`")
        made: dict[str, Deadline] = {}
        for latency, inner in entries.nodes.items():
            part = Entries(inner, reading, ("first_byte", "total", "hedge"), f"`{latency}`")
            first_byte, total, hedge = (part.get(key, _some_seconds) for key in ("first_byte", "total", "hedge"))
            ends = [end for end in (first_byte, total) if end is not None]
            if hedge is not None and ends and hedge >= min(ends):
                reading.note(part.nodes["hedge"], f"a `hedge` after {hedge:g} s comes too late: the lane before it is "
                             f"given up after {min(ends):g} s; make it shorter")  # fmt: skip
            made[latency] = Deadline(first_byte, total, hedge)
        return made

    def _detect(self, node: Node, reading: Reading) -> Detect:
        entries = Entries(node, reading, ("says", "identifiers", "unreadable"), "`detect`")
        one_class = one_of(self.names.classes, "class")
        strictest = self._strictest()

        def kinds(node: Node, reading: Reading) -> dict[str, str]:
            if isinstance(node.value, str):
                return {"*": one_class(node, reading)}
            by_kind = Entries(node, reading, (*IDENTIFIERS, "*"), "`identifiers`")
            found = {kind: by_kind.get(kind, one_class) for kind in by_kind.nodes}
            return strictest.identifiers | {kind: c for kind, c in found.items() if c is not None}

        return Detect(
            says=entries.get("says", text) or "",
            identifiers=entries.get("identifiers", kinds) or strictest.identifiers,
            unreadable=entries.get("unreadable", one_class) or strictest.unreadable,
        )

    def _strictest(self) -> Detect:
        return Detect(identifiers={"*": self.names.classes[-1]}, unreadable=self.names.classes[-1])


_RULE_KEYS = {
    "wall": ("id", "says", "when", "sensitivity", "zones"),
    "routes": ("id", "says", "when", "try"),
    "fallbacks": ("id", "says", "when", "then"),
    "reviews": REVIEW_KEYS,
    "shadow": ("id", "says", "when", "lanes", "share", "judge", "budget", "until"),
    "capture": ("id", "says", "when", "for"),
    "retention": ("id", "says", "sensitivity", "for"),
    "must": ("id", "says", "when", "never"),
}


def _some_seconds(node: Node, reading: Reading) -> float:
    length = seconds(node, reading)
    if not length:
        reading.fail(node, f"no lane can answer within `{shown(node.value)}`; leave it out for no deadline")
    return length


def _numbered(waivers: tuple[Waiver, ...]) -> list[Waiver]:
    if len(waivers) < 2:
        return list(waivers)
    return [
        Waiver(id=f"gate.waiver[{i}]", says=w.says, line=w.line, lanes=w.lanes, until=w.until, by=w.by,
               workloads=w.workloads)
        for i, w in enumerate(waivers)
    ]  # fmt: skip
