"""second: a second proof of a policy, written apart from the first, and its word on a certificate.

It shares with the first proof the policy's values, `Test.holds` and `Zone.lacks`, and no code of space, oracle, reach,
safety or liveness: it finds the `kinds` of request itself, reads the rules itself (`ways`), settles each claim by
`cases`, and has each witness `replayed` by the interpreter.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

from laneway import __version__
from laneway.certificate.cases import NO, YES, Part
from laneway.certificate.form import HOPS, Certificate, Example, Hop, Kept
from laneway.certificate.replay import replayed
from laneway.certificate.ways import POSSIBLY, SURELY, Ways, within
from laneway.condition import fact_of
from laneway.decide import affordable
from laneway.errors import shown
from laneway.lane import Lane
from laneway.policy import Policy
from laneway.signals import Ask

__all__ = ["PROVED", "objections"]

PROVED = (
    "no rule names a lane behind the wall",
    "what must never happen cannot",
    "every request is decided",
    "what the wall keeps from a class it keeps from every higher one",
    "every rule decides something",
    "ceilings and deadlines can be met",
)
"""The properties that are proved anew. A certificate names them all."""

_RANKING = ("cheapest", "safest", "strongest", "fastest", "next")


def objections(policy: Policy, certificate: Certificate, today: datetime.date, seconds: float) -> Iterator[str]:
    """What is wrong with a certificate of `policy` on `today`; nothing where it is verified. Raises OutOfTime."""
    bound = tuple(_unbound(policy, certificate, today))
    yield from bound
    if bound:
        return
    wrong = tuple(_Second(policy, certificate.day, seconds).objections(certificate))
    yield from wrong
    if not wrong and certificate.day != today:
        changed = _Second(policy, today, seconds).objections(certificate)
        yield from (f"since {certificate.day} something changed: {change}" for change in changed)


def _unbound(policy: Policy, certificate: Certificate, today: datetime.date) -> Iterator[str]:
    if certificate.digest != certificate.fingerprint:
        yield "its digest is not that of what it says: it was changed after it was written"
    if certificate.policy_hash != policy.hash:
        yield (f"it is about another policy text (hash {shown(certificate.policy_hash)}), not about {policy.file} "
               f"({policy.hash}); prove this one: `laneway check {policy.file} --certificate FILE`")  # fmt: skip
    if certificate.laneway != __version__:
        yield f"Laneway {shown(certificate.laneway)} wrote it, and this is {__version__}: prove the policy again"
    if certificate.day > today:
        yield f"its day {certificate.day} lies in the future: today is {today} (UTC)"
    if certificate.properties != PROVED:
        names = set(certificate.properties) ^ set(PROVED) or {"their order"}
        yield f"its properties are not those that are proved: {', '.join(map(shown, sorted(names)))}"


class _Second:
    """The second proof of a policy on a day."""

    def __init__(self, policy: Policy, today: datetime.date, seconds: float) -> None:
        self.policy, self.ways = policy, Ways(policy, today, seconds)

    def objections(self, certificate: Certificate) -> Iterator[str]:
        """What the certificate says and is not so, and what has to hold and does not. Raises OutOfTime."""
        if certificate.requests != self.ways.requests:
            yield f"it counts {certificate.requests:,} kinds of request, and there are {self.ways.requests:,}"
        yield from self._reached(certificate.reach)
        yield from self._kept(certificate.musts)
        yield from self._named()
        yield from self._decided()
        yield from self._raised()
        yield from self._alive(certificate)
        yield from self._bounded()

    def _reached(self, claimed: dict[str, dict[str, tuple[Hop, ...]]]) -> Iterator[str]:
        found = self.ways.reach()
        if {name: set(lanes) for name, lanes in claimed.items()} != {name: set(lanes) for name, lanes in found.items()}:
            yield "its `reach` does not list each class and lane of the policy once"
            return
        for name, lanes in found.items():
            for lane, hops in lanes.items():
                if claimed[name][lane] != hops:
                    says, is_ = (", ".join(told) or "by no hop" for told in (claimed[name][lane], hops))
                    yield f"{name} requests reach {lane}: it says {says}; found {is_}"

    def _kept(self, claimed: tuple[Kept, ...]) -> Iterator[str]:
        rules = self.policy.must
        if [rule.id for rule in rules] != [kept.must for kept in claimed]:
            yield "its `musts` are not those of the policy, in their order"
            return
        most = {lane.name: _most(lane) for lane in self.policy.lanes.values()}
        for rule, kept in zip(rules, claimed, strict=True):
            when = self.ways.when(rule.when, POSSIBLY)
            out = [lane for lane in self.policy.strength if self._meant(rule.lane, self.policy.lanes[lane])]
            if not self.ways.can(when):
                yield f"{rule.id} speaks of no request"
            if rule.cost_over is not None:
                limit = rule.cost_over
                out = [lane for lane in out if most[lane] > 0 and _calls(self.policy) * sum(most.values()) > limit]
                when = self.ways.every(when, self.ways.where("ceiling", lambda v, m=limit: not within(v, m)))  # type: ignore[misc]
            if tuple(out) != kept.lanes:
                says, is_ = (", ".join(lanes) or "none" for lanes in (kept.lanes, out))
                yield f"{rule.id} keeps its requests out of lanes: it says {says}; found {is_}"
            for lane in out:
                yield from (
                    f"{rule.id}: a request reaches {lane} ({hop})" for hop in HOPS if self.ways.takes(when, hop, lane)
                )

    def _meant(self, tests: Iterable[tuple[str, frozenset[str], bool]], lane: Lane) -> bool:
        """Whether a `must` speaks of the lane: what is unknown counts against it."""
        known = lane.known(self.ways.today, self.policy.fresh_days)
        stores = frozenset[str]() if lane.retention == 0 else lane.stores
        facts = {"kind": frozenset({lane.kind}), "name": frozenset({lane.name}), "owner": lane.owner,
                 "runs": lane.runs if known else None, "stores": stores if known else None}  # fmt: skip
        told = [(facts[fact], values, negated) for fact, values, negated in tests]
        return all(has is None or bool(has - values if negated else has & values) for has, values, negated in told)

    def _named(self) -> Iterator[str]:
        """Rules that name a lane, or a zone that holds one, which the wall keeps from a request that they decide."""
        policy, gate = self.policy, self.policy.gate
        routes, falls = (policy.routes, self.ways.routes, YES), (policy.fallbacks, self.ways.falls, self.ways.tried)
        for rules, whens, also in (routes, falls):
            for i, rule in enumerate(rules):
                before = ((when, NO) for when in whens[:i])
                if self.ways.can(also, self.ways.cases.first((*before, (whens[i], self._behind(rule.words))))):
                    yield f"{rule.id} names a lane that the wall keeps from a request which it decides"
        if gate.checks and self.ways.can(self.ways.tried, self._behind((*gate.weak, *gate.judge))):
            yield "gate names a lane that the wall keeps from a request whose answer may be weak or judged"
        for shadow in policy.shadows:
            when = self.ways.when(shadow.when, SURELY)
            if self.ways.can(self.ways.tried, when, self._behind((*shadow.lanes, *shadow.judge))):
                yield f"{shadow.id} names a lane that the wall keeps from a request that it shadows"

    def _behind(self, words: Iterable[str]) -> Part:
        lanes = self.ways.members(word for word in words if word not in _RANKING)
        return self.ways.some(self.ways.cases.no(self.ways.wall[lane]) for lane in lanes)

    def _decided(self) -> Iterator[str]:
        if self.ways.can(self.ways.cases.no(self.ways.some(self.ways.routes))):
            yield "a request matches no route"
        for name in self.policy.classes:
            grants = [grant for grant in self.policy.grants if name in grant.classes]
            refused = any(not grant.zones for grant in grants)
            if not refused and not self.ways.can(self.ways.of(name), self.ways.some(self.ways.wall.values())):
                yield f"no lane is open to {name} requests, and no `zones: []` says so"

    def _raised(self) -> Iterator[str]:
        at = self.ways.kinds.facts.index("sensitivity")
        for lane, allowed in self.ways.wall.items():
            for i, (lower, higher) in enumerate(pairwise(self.policy.classes)):
                below, above = (self.ways.cases.given(allowed, at, k) for k in (i, i + 1))
                if self.ways.can(self.ways.of(higher), above, self.ways.cases.no(below)):
                    yield f"{higher} requests may use {lane} where {lower} ones may not"

    def _alive(self, certificate: Certificate) -> Iterator[str]:
        """Each rule decides its witness, which is a request that can be; each row of the wall opens something."""
        for key in certificate.witnesses.__struct_fields__:
            rules, shown_ = getattr(self.policy, key), getattr(certificate.witnesses, key)
            if len(rules) != len(shown_):
                yield f"it has {len(shown_)} witnesses for {len(rules)} {key}"
                continue
            for i, (rule, example) in enumerate(zip(rules, shown_, strict=True)):
                if not self._is_possible(example):
                    yield f"{rule.id}: its witness is no request that can be"
                elif not replayed(self.policy, key, i, example.signals, self.ways.today):  # type: ignore[arg-type]
                    yield f"{rule.id}: it does not decide its witness"
        rows = range(len(self.policy.grants))
        for i in rows:
            if self.policy.grants[i].zones and self.ways.granted([row for row in rows if row != i]) == self.ways.table:
                yield f"{self.policy.grants[i].id} opens no lane that the rest of the wall does not open"

    def _is_possible(self, example: Example) -> bool:
        """Whether a request may have these facts."""
        part, signals = self.ways.possible, example.signals
        for i, fact in enumerate(self.ways.kinds.facts):
            kind = self.ways.kinds.kind(fact, fact_of(signals, fact))
            if kind is None:
                return False
            part = self.ways.cases.given(part, i, kind)
        return part is YES and set(signals.declared) <= set(self.policy.facts)

    def _bounded(self) -> Iterator[str]:
        policy, default = self.policy, self.policy.unlabelled
        ceilings = {None: default.ceiling} | {name: work.ceiling for name, work in policy.workloads.items()}
        for name, ceiling in ceilings.items():
            of = self.ways.having("workload", name)
            lanes = [x for x in policy.lanes if ceiling is not None and self.ways.takes(of, "first", x)]
            if lanes and not any(affordable(policy.lanes[x], Ask(), 0, ceiling)[1] is None for x in lanes):
                yield f"the ceiling of {name or 'unlabelled'} affords none of its lanes"
        for latency, deadline in policy.deadlines.items():
            of = self.ways.having("latency", latency)
            if deadline.hedge is not None and not self.ways.goes_on(of):
                yield f"the hedge of {latency} requests has no second lane"
            if deadline.first_byte is None or deadline.total is None:
                continue
            lanes = [x for x in policy.lanes if self.ways.takes(of, "first", x) or self.ways.takes(of, "fallback", x)]
            if lanes and deadline.first_byte * len(lanes) > deadline.total:
                yield f"the total of {latency} requests leaves no time for the last of {len(lanes)} lanes"


def _calls(policy: Policy) -> int:
    """How often a request may call one lane: for an answer, once more for it, and to judge either of two.

    By each shadow once to answer unseen; and where it judges, in both orders for each lane that may.
    """
    shadows = (1 + 2 * len(policy.lanes) if rule.judge else 1 for rule in policy.shadows)
    return (4 if policy.gate.judge else 2) + sum(shadows)


def _most(lane: Lane) -> float:
    """The most that a call of the lane costs: everything that fits into it, in and out."""
    price, limits = lane.price, lane.limits
    if price is not None and not price.input and not price.output:
        return 0.0
    known = price is not None and limits.context is not None and limits.output is not None
    return price.cost(limits.context, limits.output) if known else math.inf  # type: ignore[union-attr,arg-type]
