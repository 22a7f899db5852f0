"""policy_cases: a policy's cases in YAML in, checked Cases out; and what of them was not met, and not covered.

A case is a request, told by its facts (`given`) or whole (`request`), and what must come of it. Read as
strictly as the policy. Pure: `rehearse` is what runs a case.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from laneway.condition import fact_of
from laneway.decision import Decision
from laneway.describe import BARE, LABELS
from laneway.errors import shown
from laneway.explain import all_lanes, kind
from laneway.lane import exact
from laneway.policy import Gate, Policy, Rule
from laneway.regions import region
from laneway.signals import DIFFICULTIES, LANGUAGES, LATENCIES, NEEDS, STAKES, Signals
from laneway.yaml_nodes import (
    Entries,
    Node,
    Reader,
    Reading,
    compose,
    date,
    each,
    json_value,
    listed,
    number,
    one_of,
    text,
    whole,
)

__all__ = ["ANSWERS", "DECISIONS", "ENDS", "Case", "Coverage", "Seen", "Suite", "Unmet", "coverage", "parse", "unmet"]

ANSWERS = ("ok", "weak", "doubtful", "fail", "refusal")
DECISIONS = ("route", "hold", "refuse")
_STATUSES = ("answered", "marked", "held", "refused", "failed", "invalid")
_CODES = (
    "no-route", "no-lane", "approval-required", "held-weak", "refused-weak", "held-after-failure", "lanes-failed",
    "guard-stopped", "invalid-type", "missing-field", "unsupported", "client-destination", "invalid-label",
    "unknown-header", "misplaced-label", "unknown-label", "conflicting-label", "invalid-schema", "model-not-found",
)  # fmt: skip
ENDS = (*_STATUSES, *_CODES)
"""What a client gets: how its request ended, or the error's code (in docs/reasons.md, there with `_`)."""

_CASE_KEYS = ("id", "says", "today", "given", "request", "headers", "down", "evidence", "answers", "expect")
_EXPECT_KEYS = ("decision", "lanes", "called", "end", "rejected", "reasons", "signals")
_STATED = ("difficulty", "tokens", "needs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request and what must come of it.

    `body` and `headers` are as a client would send them; `stated` is what a `bare` request, one told by its
    facts, says in place of a text. `today` is the day of this case, where it is another than the file's. `evidence`
    are lanes that have shown enough, `answers` is what lanes do when they are called. `expect` holds the keys that the
    file states.
    """

    id: str
    says: str
    line: int
    today: datetime.date | None
    body: bytes
    headers: dict[str, str]
    bare: bool
    stated: dict[str, Any]
    down: tuple[str, ...]
    evidence: tuple[str, ...]
    answers: dict[str, str]
    expect: dict[str, Any]

    @property
    def served(self) -> bool:
        """Whether the request must be served to know what comes of it, and not only decided."""
        return not self.expect.keys().isdisjoint(("called", "end"))


class Suite(NamedTuple):
    """A file of cases; `today` is the day on which all of them are judged, if it states one."""

    file: str
    today: datetime.date | None
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a case. `error` says why there was no decision; `end` and `code` say what the client got."""

    signals: Signals | None = None
    decision: Decision | None = None
    called: tuple[str, ...] = ()
    end: str = ""
    code: str = ""
    error: str = ""


class Unmet(NamedTuple):
    """One key of `expect` that did not come true, both sides as JSON has them."""

    key: str
    expected: object
    actual: object


def parse(source: str, policy: Policy, file: str = "cases") -> Suite:
    """The cases in `source`; `file` names it in problems. Raises PolicyError with every problem found."""
    reading = Reading(file)
    suite = reading.attempt(lambda node, r: _File(policy, r).suite(node), compose(source, file))
    reading.finish()
    assert suite is not None
    return suite


class _File:
    """One file of cases: reads each against the names that the policy has."""

    def __init__(self, policy: Policy, reading: Reading) -> None:
        self.policy, self.r = policy, reading
        self.lanes = listed(one_of(policy.lanes, "lane"))
        self.facts: dict[str, Reader[Any]] = {
            "sensitivity": one_of(policy.classes, "class"), "difficulty": one_of(DIFFICULTIES, "difficulty"),
            "stakes": one_of(STAKES, "stakes"), "latency": one_of(LATENCIES, "latency"), "ceiling": number,
            "tokens": whole, "needs": listed(one_of(NEEDS, "need")), "workload": one_of(policy.workloads, "workload"),
            "team": text, "region": _country, "language": one_of(LANGUAGES, "language"), "facts": self._declared,
        }  # fmt: skip

    def suite(self, root: Node) -> Suite:
        top = Entries(root, self.r, ("today", "cases"), "a file of cases")
        nodes = top.need("cases", each(lambda node, _: node), "a file of cases")
        made = [self.r.attempt(lambda n, _, i=i: self._case(i, n), node) for i, node in enumerate(nodes)]  # type: ignore[misc]
        cases = [case for case in made if case is not None]
        first: dict[str, Case] = {}
        for case, node in zip(made, nodes, strict=True):
            if case is not None and first.setdefault(case.id, case) is not case:
                self.r.note(node, f"a second case `{shown(case.id)}`; the first is at line {first[case.id].line}")
        return Suite(self.r.file, top.get("today", date), tuple(cases))

    def _case(self, index: int, node: Node) -> Case:
        entries = Entries(node, self.r, _CASE_KEYS, "this case")
        if ("given" in entries.nodes) == ("request" in entries.nodes):
            self.r.fail(node, "a case needs either `given`, the facts of a request, or `request`, a client's body")
        bare = "given" in entries.nodes
        body, headers, stated = BARE, dict[str, str](), dict[str, Any]()
        if bare:
            body, headers, stated = entries.need("given", self._given, "a case")
            if "headers" in entries.nodes:
                self.r.note(entries.keys["headers"], "`headers` go with `request`; say it under `given`")
        else:
            body = msgspec.json.encode(entries.get("request", json_value))
            headers = entries.get("headers", self._headers) or {}
        case = Case(
            id=entries.get("id", text) or f"cases[{index}]", says=entries.need("says", text, "a case"),
            line=entries.line, today=entries.get("today", date), body=body, headers=headers, bare=bare, stated=stated,
            down=entries.get("down", self.lanes) or (), evidence=entries.get("evidence", self.lanes) or (),
            answers=entries.get("answers", self._answers) or {},
            expect=entries.need("expect", self._expect, "a case"),
        )  # fmt: skip
        if case.answers and not case.served:
            self.r.note(entries.keys["answers"], "`answers` matter to `called` and `end` alone; expect one of them")
        return case

    def _given(self, node: Node, reading: Reading) -> tuple[bytes, dict[str, str], dict[str, Any]]:
        """A body without a text, the labels, and what is stated in place of a text."""
        entries = Entries(node, reading, (*self.facts, "model"), "`given`")
        policy = self.policy
        models = ("auto", *policy.workloads, *(f"lane/{lane}" for lane in policy.lanes))
        model = entries.get("model", one_of(models, "model"))
        facts = self._read(entries)
        labels = {name: facts[name] for name in LABELS if name in facts}
        labels |= {f"fact-{name}": value for name, value in facts.get("facts", {}).items()}
        headers = {f"laneway-{name}": _label(value) for name, value in labels.items()}
        body = BARE if model is None else msgspec.json.encode({"model": model, "messages": []})
        return body, headers, {name: facts[name] for name in _STATED if name in facts}

    def _read(self, entries: Entries) -> dict[str, Any]:
        found = {key: entries.get(key, reader) for key, reader in self.facts.items()}
        return {key: value for key, value in found.items() if value is not None}

    def _declared(self, node: Node, reading: Reading) -> dict[str, str | float]:
        entries = Entries(node, reading, self.policy.facts, "`facts`")
        found = {key: entries.get(key, self._fact(key)) for key in entries.nodes}
        return {key: value for key, value in found.items() if value is not None}

    def _fact(self, name: str) -> Reader[str | float]:
        fact = self.policy.facts[name]

        def read(node: Node, reading: Reading) -> str | float:
            if fact.values:
                return one_of(fact.values, name)(node, reading)
            value = number(node, reading)
            if not (fact.low or 0) <= value <= (float("inf") if fact.high is None else fact.high):
                reading.fail(node, f"`{name}` runs from {fact.low:g} to {fact.high:g}, so it is never {value:g}")
            return value

        return read

    def _headers(self, node: Node, reading: Reading) -> dict[str, str]:
        entries = Entries(node, reading, None, "`headers`")
        made: dict[str, str] = {}
        for name, value in entries.nodes.items():
            if name.lower() in made:
                reading.note(entries.keys[name], f"header `{shown(name)}` stands there twice")
            made[name.lower()] = text(value, reading)
        return made

    def _answers(self, node: Node, reading: Reading) -> dict[str, str]:
        entries = Entries(node, reading, self.policy.lanes, "`answers`")
        made = {lane: entries.get(lane, one_of(ANSWERS, "answer")) for lane in entries.nodes}
        for lane, answer in made.items():
            if answer == "weak" and not self.policy.gate.checks:
                reading.note(entries.nodes[lane], "no answer is weak, as the policy's gate has no `checks`")
            if answer == "doubtful" and not self.policy.gate.judge:
                reading.note(entries.nodes[lane], "no answer is doubtful, as the policy's gate names no `judge`")
        return {lane: answer for lane, answer in made.items() if answer is not None}

    def _expect(self, node: Node, reading: Reading) -> dict[str, Any]:
        entries = Entries(node, reading, _EXPECT_KEYS, "`expect`")
        if not entries.nodes:
            reading.fail(node, f"`expect` needs at least one of {', '.join(_EXPECT_KEYS)}")
        readers: dict[str, Reader[Any]] = {
            "decision": one_of(DECISIONS, "decision"), "lanes": self.lanes, "called": self.lanes,
            "end": one_of(ENDS, "end"), "rejected": self._rejected, "reasons": listed(text), "signals": self._signals,
        }  # fmt: skip
        found = {key: entries.get(key, readers[key]) for key in entries.nodes}
        return {key: value for key, value in found.items() if value is not None}

    def _rejected(self, node: Node, reading: Reading) -> dict[str, str]:
        entries = Entries(node, reading, self.policy.lanes, "`rejected`")
        return {lane: entries.need(lane, text, "`rejected`") for lane in entries.nodes}

    def _signals(self, node: Node, reading: Reading) -> dict[str, Any]:
        facts = self._read(Entries(node, reading, self.facts, "`signals`"))
        declared: dict[str, Any] = facts.pop("facts", {})
        return facts | declared


def _country(node: Node, reading: Reading) -> str:
    name = text(node, reading)
    if region(name) is None:
        reading.fail(node, f"`{shown(name)}` is no country; write two capital letters such as SE")
    return name


def _label(value: str | float) -> str:
    """As a client writes it: numbers without an exponent."""
    return value if isinstance(value, str) else exact(value)


def unmet(case: Case, seen: Seen) -> tuple[Unmet, ...]:
    """What `case` expects and did not come true, in the order of the file."""
    each_key = (_unmet(key, expected, seen) for key, expected in case.expect.items())
    return tuple(found for found in each_key if found is not None)


def _unmet(key: str, expected: Any, seen: Seen) -> Unmet | None:
    decision = seen.decision
    if key == "end":
        actual: Any = f"{seen.end} ({seen.code})" if seen.code else seen.end
        return None if expected in (seen.end, seen.code) else Unmet(key, expected, actual)
    if key == "reasons":
        cited = tuple(reason.rule for reason in decision.reasons) if decision else ()
        rest = iter(cited)
        return None if all(rule in rest for rule in expected) else Unmet(key, expected, cited)
    if key in ("rejected", "signals"):
        found = _rejections(decision) if key == "rejected" else _facts(seen.signals, expected)
        wrong = [name for name in expected if not _same(found.get(name), expected[name])]
        each_side = ({name: side.get(name) for name in wrong} for side in (expected, found))
        return Unmet(key, *each_side) if wrong else None
    if key == "decision":
        actual = kind(decision) if decision else None
    else:
        actual = seen.called if key == "called" else all_lanes(decision) if decision else ()
    return None if actual == expected else Unmet(key, expected, actual)


def _rejections(decision: Decision | None) -> dict[str, str]:
    return {reason.lane: reason.rule for reason in decision.rejected} if decision else {}


def _facts(signals: Signals | None, named: Iterable[str]) -> dict[str, Any]:
    return {name: fact_of(signals, name) for name in named} if signals else {}


def _same(one: object, other: object) -> bool:
    """Equal; needs have no order."""
    return sorted(one) == sorted(other) if isinstance(one, tuple) and isinstance(other, tuple) else one == other


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many rules there are, and which of them no passing case's decision cites, in the order of the file."""

    rules: int
    uncovered: tuple[Rule, ...]

    @property
    def covered(self) -> int:
        """How many rules are cited."""
        return self.rules - len(self.uncovered)

    @property
    def percent(self) -> float:
        """The share of the rules that is covered; all of none."""
        return 100 * self.covered / self.rules if self.rules else 100.0


def coverage(policy: Policy, passed: Iterable[Decision]) -> Coverage:
    """What the decisions of passing cases cite. A review that frees (`release: now`) is cited by none: not counted."""
    reviews = (review for review in policy.reviews if review.release != "now")
    rules: list[Rule] = [*policy.grants, *policy.limits, *policy.routes, *policy.fallbacks, *reviews]
    rules += _of_gate(policy.gate)
    cited = {reason.rule for decision in passed for reason in (*decision.reasons, *decision.rejected)}
    return Coverage(len(rules), tuple(sorted((r for r in rules if r.id not in cited), key=lambda r: r.line)))


def _of_gate(gate: Gate) -> tuple[Rule, ...]:
    checks = (Rule(id="gate", says=gate.says, line=gate.line),) if gate.checks else ()
    return (*checks, *gate.waivers)
