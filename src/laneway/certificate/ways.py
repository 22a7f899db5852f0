"""ways: the rules read a second time: which lanes the wall leaves to a request, and by which hops it may reach them.

Written from docs/policy.md and apart from space, reach and wall, which it must not import: the second proof stands on
it. Any lane may be down at any moment, also for want of money.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import permutations

from laneway.certificate.cases import NO, YES, Cases, Part
from laneway.certificate.form import HOPS, Hop
from laneway.certificate.kinds import Kinds, Value, sureness
from laneway.condition import All, Always, Condition, Not, Test
from laneway.lane import Lane
from laneway.policy import Policy, Ranking

__all__ = ["POSSIBLY", "SURELY", "Ways", "within"]

POSSIBLY = 1
"""What the safe reading of limits, reviews and musts asks of a condition: of no (0), unknown (1) and yes (2) the least
that counts as holding."""
SURELY = 2


class Ways:
    """The ways of a policy on a day, as parts of `cases` over the `kinds` of request.

    By lane: `wall`, the requests that the wall lets use it, and by hop what may take it. `tried` are the requests that
    call a lane at all, `possible` those that classification can make, `routes` and `falls` the rules' conditions.
    """

    def __init__(self, policy: Policy, today: datetime.date, seconds: float = 60) -> None:
        self.policy, self.today = policy, today
        self.kinds = Kinds(policy)
        sizes = [len(values) for values in self.kinds.values]
        self.requests = math.prod(sizes)
        self.cases = Cases(sizes, seconds)
        self.routes, self.falls = self._rules(policy.routes), self._rules(policy.fallbacks)
        self.table = self.granted([i for i, _ in enumerate(policy.grants)])
        self._limits = [(self.when(x.when, POSSIBLY), self.members(x.zones)) for x in policy.limits]
        self.wall = {lane: self._allowed(lane) for lane in policy.lanes}
        self._open = {name: self._usable(lane) for name, lane in policy.lanes.items()}
        self.tried = self._calling()
        self._hops = self._ways()

    def where(self, fact: str, wanted: Callable[[Value], bool]) -> Part:
        """The requests whose fact has a wanted value."""
        at = self.kinds.facts.index(fact)
        return self.cases.test(at, sum(1 << i for i, v in enumerate(self.kinds.values[at]) if wanted(v)))

    def every(self, *parts: Part) -> Part:
        """The requests that meet all parts."""
        return self.cases.every(parts)

    def some(self, parts: Iterable[Part]) -> Part:
        """The requests that meet one of the parts."""
        return self.cases.some(parts)

    def can(self, *parts: Part) -> bool:
        """Whether a request that can be meets all parts. Raises OutOfTime."""
        return self.cases.can(self.cases.every((self.possible, *parts)))

    def when(self, condition: Condition, least: int) -> Part:
        """The requests for which the condition is at least that sure."""
        if isinstance(condition, Always):
            return YES
        if isinstance(condition, Test):
            test = condition
            return self.where(test.fact, lambda value: sureness(test, value) >= least)
        if isinstance(condition, Not):
            return self.cases.no(self.when(condition.part, 3 - least))
        parts = (self.when(part, least) for part in condition.parts)
        return (self.cases.every if isinstance(condition, All) else self.cases.some)(parts)

    def _rules(self, rules: Iterable[Ranking]) -> list[Part]:
        return [self.when(rule.when, SURELY) for rule in rules]

    def _naming(self, lane: str, rules: tuple[Ranking, ...], whens: list[Part]) -> Part:
        """The requests of which the first rule that matches names the lane."""
        leads = (YES if lane in self.members(rule.words) else NO for rule in rules)
        return self.cases.first(zip(whens, leads, strict=True))

    def _calling(self) -> Part:
        """The requests that may call a lane at all: one that the first route that matches names, and that is open."""
        leads = (self.some(self._open[lane] for lane in self.members(rule.words)) for rule in self.policy.routes)
        return self.cases.first(zip(self.routes, leads, strict=True))

    def members(self, words: Iterable[str]) -> set[str]:
        """The lanes of these zones, names and ranking words."""
        policy, lanes = self.policy, set[str]()
        for word in words:
            if word in policy.zones:
                zone, days = policy.zones[word], policy.fresh_days
                lanes |= {n for n, lane in policy.lanes.items() if zone.lacks(lane, self.today, days) is None}
            else:
                lanes |= {word} if word in policy.lanes else set(policy.lanes)
        return lanes

    def granted(self, rows: list[int]) -> dict[str, set[str]]:
        """By class the lanes that these rows of the wall grant to it and to all lower classes."""
        table, lanes = {}, set(self.policy.lanes)
        for name in self.policy.classes:
            grants = [self.policy.grants[i] for i in rows]
            lanes = lanes & set().union(*(self.members(g.zones) for g in grants if name in g.classes))
            table[name] = lanes
        return table

    def _allowed(self, lane: str) -> Part:
        closing = self.some(when for when, spared in self._limits if lane not in spared)
        granted = self.where("sensitivity", lambda value: lane in self.table[str(value)])
        return self.every(granted, self.cases.no(closing))

    def _usable(self, lane: Lane) -> Part:
        """Allowed, waived or with sets to be measured by, and not closed by what the lane cannot bear.

        A price may close it or not, and so may what it has shown: an outage.
        """
        policy = self.policy
        waivers = [w for w in policy.gate.waivers if lane.name in w.lanes and w.until >= self.today]
        sets = {w.name for w in policy.workloads.values() if w.evals} if policy.gate.bar is not None else set()
        waived = self.where(
            "workload", lambda v: v in sets or any(w.workloads is None or v in w.workloads for w in waivers)
        )
        return self.every(self.wall[lane.name], waived, self._able(lane))

    def _able(self, lane: Lane) -> Part:
        """What the lane itself can bear."""
        context, can = lane.limits.context, lane.supports
        short = YES if context is None else self.where("tokens", lambda v: v <= context)  # type: ignore[operator]
        able = YES if can is None else self.where("needs", can.issuperset)  # type: ignore[arg-type]
        priced = YES if lane.price is not None else self.where("ceiling", lambda v: v is None)
        return self.every(short, able, priced)

    def _ways(self) -> dict[Hop, dict[str, list[Part]]]:
        """By hop and lane the requests that take it: any of several parts, each a question of its own."""
        policy, gate = self.policy, self.policy.gate
        starts, falls = dict[str, Part](), dict[str, Part]()
        for lane, open_ in self._open.items():
            starts[lane] = self.every(open_, self._naming(lane, policy.routes, self.routes))
            falls[lane] = self.every(self.tried, open_, self._naming(lane, policy.fallbacks, self.falls))
        redo = self.members(word for word in gate.weak if word != "strongest")
        again = dict[str, list[Part]]()
        for i, lane in enumerate(policy.strength):
            weaker = policy.strength[:i] if gate.checks and (lane in redo or "strongest" in gate.weak) else ()
            # `strongest` is the strongest of the open lanes: only a first lane can be weaker and still come before it.
            before = [way[x] for way in ((starts, falls) if lane in redo else (starts,)) for x in weaker]
            again[lane] = [self.every(self._open[lane], part) for part in before]
        judges = self.members(gate.judge)
        return {
            "first": {lane: [part] for lane, part in starts.items()},
            "fallback": {lane: [part] for lane, part in falls.items()},
            "escalation": again,
            "judge": {lane: [self.every(self.tried, self._open[lane])] * (lane in judges) for lane in policy.lanes},
            "shadow": {name: self._unseen(lane) for name, lane in policy.lanes.items()},
        }

    def _unseen(self, lane: Lane) -> list[Part]:
        """By each shadow in force the requests that the lane may answer unseen, evidence or not, or compare."""
        found = []
        for rule in self.policy.shadows:
            when = self.every(self.tried, self.when(rule.when, SURELY))
            if rule.until >= self.today and lane.name in self.members(rule.lanes):
                found.append(self.every(when, self.wall[lane.name], self._able(lane)))
            if rule.until >= self.today and lane.name in self.members(rule.judge):
                found.append(self.every(when, self._open[lane.name]))
        return found

    @cached_property
    def possible(self) -> Part:
        """The requests that classification can make: what a workload, or nobody, says are floors and bounds."""
        policy, default, rules = self.policy, self.policy.unlabelled, []
        for name in (None, *policy.workloads):
            work = policy.workloads.get(name or "")
            asked = self.having("workload", name)
            floor = policy.classes.index((work and work.sensitivity) or policy.classes[0])
            difficulty = (work and work.difficulty) or default.difficulty
            high = ((work and work.stakes) or default.stakes) == "high"
            most = default.ceiling if work is None or work.ceiling is None else work.ceiling
            parts = [
                self.where("sensitivity", lambda v, floor=floor: v in policy.classes[floor:]),  # type: ignore[misc]
                self.where("difficulty", lambda v, d=difficulty: d in ("auto", v)),  # type: ignore[misc]
                self.where("stakes", lambda v, high=high: v == "high" or not high),  # type: ignore[misc]
                self.where("ceiling", lambda v, m=most: m is None or within(v, m)),  # type: ignore[misc]
            ]
            rules.append((asked, self.every(*parts)))
        return self.cases.first(rules)

    def reach(self) -> dict[str, dict[str, tuple[Hop, ...]]]:
        """By class and lane the hops by which some request reaches it. Raises OutOfTime."""
        return {
            name: {lane: tuple(hop for hop in HOPS if self.takes(of, hop, lane)) for lane in self.policy.lanes}
            for name, of in ((name, self.of(name)) for name in self.policy.classes)
        }

    def having(self, fact: str, value: Value) -> Part:
        """The requests whose fact has the value, or one that nothing tells from it."""
        kind = self.kinds.kind(fact, value)
        return self.cases.test(self.kinds.facts.index(fact), 0 if kind is None else 1 << kind)

    def of(self, data_class: str) -> Part:
        """The requests of a class."""
        return self.where("sensitivity", lambda value: value == data_class)

    def takes(self, of: Part, hop: Hop, lane: str) -> bool:
        """Whether one of these requests may reach the lane by the hop. Raises OutOfTime."""
        return any(self.can(of, way) for way in self._hops[hop][lane])

    def goes_on(self, of: Part) -> bool:
        """Whether one of these requests may begin at one lane and fall back to another. Raises OutOfTime."""
        starts, falls = self._hops["first"], self._hops["fallback"]
        return any(self.can(of, *starts[a], *falls[b]) for a, b in permutations(self.policy.lanes, 2))


def within(ceiling: Value, limit: float) -> bool:
    """Whether a request's ceiling holds it to the limit."""
    return isinstance(ceiling, float) and ceiling <= limit
