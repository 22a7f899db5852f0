"""compare: two policies in; the requests that they decide differently, as few classes of change, out.

A request is what a client states: each policy reads it with its own floors and defaults. Formulas say where the
lanes, their order or what follows them differ; a class of change is the requests that differ in the same
ways. The interpreter confirms each by one request, in the smallest outage that shows the difference.
Money is left out of it: a lane that a ceiling cannot pay is one that is down.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import combinations, islice
from typing import NamedTuple

import msgspec

from laneway.decide import decide
from laneway.decision import Decision, Hold, Reason, Route
from laneway.diff.changed import Difference, changed
from laneway.diff.order import Order
from laneway.diff.seen import holds
from laneway.lane import Lane, Price
from laneway.policy import Policy
from laneway.proof.finding import evidence, flags, outage, smallest, values_of, without
from laneway.proof.oracle import Enumeration, NotProved, Oracle, choose
from laneway.proof.space import FALSE, Cell, Formula, Space, both, cheapest, either, negation
from laneway.proof.stated import Value, read_by
from laneway.signals import Ask, Signals
from laneway.way import Way, way

__all__ = ["SMALL", "Access", "Change", "Comparison", "Report", "Side", "compare", "free", "moved"]

SMALL = 2**25
"""The most bits, as a proof would take, of what is enumerated: a comparison asks of many more sets."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one policy does with a request: its decision, as if approved where `review` says it must be."""

    policy: Policy
    signals: Signals
    decision: Decision
    review: Reason | None

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes in the order in which they are tried."""
        return self.decision.lanes if isinstance(self.decision, Route) else ()

    @property
    def way(self) -> Way:
        """All that counts: two sides with the same way decide alike."""
        return way(self.policy, self.decision, approved=self.review is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A class of requests that are decided differently, by its smallest request and the outage that shows it.

    `requests` counts the kinds of request in it, None where nobody counted. `gained` and `lost` are lanes that
    the requests reach now, and did before.
    """

    flags: tuple[str, ...]
    down: tuple[str, ...]
    old: Side
    new: Side
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    requests: int | None
    formula: Formula


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A lane that requests of a class reach under the new policy alone, or that is another place now."""

    data_class: str
    lane: str
    moved: tuple[str, ...]
    flags: tuple[str, ...]
    down: tuple[str, ...]
    old: Side
    new: Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What two policies decide and say differently, widest changes first; `unproved` says why it may not be all.

    `more` says that there are further classes of change; their formulas are over `space`. `access` and `lowered` hold
    what was to be denied: lanes that are reached anew, and identifiers that no longer raise a text to a denied class.
    """

    prover: str
    requests: int
    changes: tuple[Change, ...]
    differences: tuple[Difference, ...]
    access: tuple[Access, ...]
    lowered: tuple[Difference, ...]
    more: bool = False
    unproved: str = ""
    space: Space | None = None


def compare(
    old: Policy, new: Policy, today: datetime.date, *, denied: tuple[str, ...] = (), seconds: float = 60,
    most: int | None = None,
) -> Report:  # fmt: skip
    """Compare two policies in `seconds`; at most `most` classes of change, the widest where they were counted."""
    prover, requests, unproved, space = "none", 0, "", None
    changes, access = list[Change](), list[Access]()
    try:
        found = Comparison(old, new, today, seconds=seconds)
        space = found.space
        prover, requests = found.oracle.name, found.space.size
        for data_class in dict.fromkeys(denied):
            access += found.access(data_class)
        every = most is None or isinstance(found.oracle, Enumeration)
        for change in found.changes() if every else islice(found.changes(), most + 1):  # type: ignore[operator]
            changes.append(change)
    except NotProved as error:
        unproved = str(error)
    changes.sort(key=lambda change: (-(change.requests or 0), len(change.flags)))
    return Report(
        prover=prover, requests=requests, changes=tuple(changes[:most]), differences=tuple(changed(old, new)),
        access=tuple(access), lowered=tuple(_lowered(old, new, denied)), unproved=unproved,
        more=most is not None and len(changes) > most, space=space,
    )  # fmt: skip


def _lowered(old: Policy, new: Policy, denied: tuple[str, ...]) -> Iterator[Difference]:
    """What `detect` found to be of a denied class and now calls less: no request's facts show that."""
    kinds = dict.fromkeys((*old.detect.identifiers, *new.detect.identifiers))
    read = [{kind: p.detect.identifiers.get(kind, p.detect.identifiers["*"]) for kind in kinds} for p in (old, new)]
    pairs = [(f"detect.{kind}", read[0][kind], read[1][kind]) for kind in kinds]
    for about, was, now in (*pairs, ("detect.unreadable", old.detect.unreadable, new.detect.unreadable)):
        place = new.classes.index
        if was in denied and now != was and (was not in new.classes or place(now) < place(was)):
            yield Difference(about, was, now)


class _Key(NamedTuple):
    """One way in which requests may differ: what, and of which lane."""

    what: str
    lane: str = ""


class Comparison:
    """Two policies on a day, over all that their clients may state. Raises NotProved where nobody knows."""

    def __init__(self, old: Policy, new: Policy, today: datetime.date, *, seconds: float = 60) -> None:
        _comparable(old, new)
        self.today, self.space = today, Space(old, new)
        self.oracle: Oracle = choose(self.space, seconds, SMALL)
        self.old, self.new = Order(old, self.space, today), Order(new, self.space, today)
        self.lanes = tuple(dict.fromkeys((*old.lanes, *new.lanes)))

    def changes(self) -> Iterator[Change]:
        """The classes of change, by those that few facts describe first."""
        left = either(formula for key, formula in self._ways.items() if not key.what.startswith("reaches"))
        while (cell := smallest(self.space, self.oracle, left)) is not None:
            alike = self._alike(cell)
            change = self._shown(cell, alike)
            if change is not None:
                yield change
            left = both(left, negation(alike))

    @cached_property
    def _ways(self) -> dict[_Key, Formula]:
        """Every way in which a request may be decided differently. `weak` may also hold where nothing differs."""
        old, new = self.old, self.new
        ways: dict[_Key, Formula] = {}
        for what, before, now in (
            ("first", old.reach.first, new.reach.first), ("tail", old.tail, new.tail), ("redo", old.redo, new.redo),
            ("judge", old.reach.judge, new.reach.judge), ("shadow", old.reach.shadow, new.reach.shadow),
            ("reaches", old.reach.reached, new.reach.reached),
        ):  # fmt: skip
            for lane in self.lanes:
                a, b = before.get(lane, FALSE), now.get(lane, FALSE)
                ways[_Key(f"{what} gained", lane)] = both(b, negation(a))
                ways[_Key(f"{what} lost", lane)] = both(a, negation(b))
        tried = both(old.reach.tried, new.reach.tried)
        for what, a, b in (("held", old.reach.held, new.reach.held), ("fails", old.fails, new.fails)):
            ways[_Key(f"{what} now")] = both(tried, b, negation(a))
            ways[_Key(f"{what} no more")] = both(tried, a, negation(b))
        ways[_Key("stops now")] = both(new.stops, negation(old.stops))
        ways[_Key("stops no more")] = both(old.stops, negation(new.stops))
        ways[_Key("order")] = both(tried, either(self._swapped("before")))
        ways[_Key("tail order")] = both(tried, either(self._swapped("after")))
        ways[_Key("hedge")] = both(tried, self._hedges(), either((*old.tail.values(), *new.tail.values())))
        ways[_Key("weak")] = both(tried, self._weak())
        ways[_Key("marked")] = tried if _on_weak(old.policy) != _on_weak(new.policy) else FALSE
        return {key: formula for key, formula in ways.items() if formula is not FALSE}

    def _common(self) -> tuple[str, ...]:
        return tuple(name for name in self.lanes if name in self.old.policy.lanes and name in self.new.policy.lanes)

    def _swapped(self, which: str) -> Iterator[Formula]:
        """For two lanes: the requests that may try both, under both policies, but in another order."""
        hops = [side.reach.first if which == "before" else side.tail for side in (self.old, self.new)]
        for u, v in combinations(self._common(), 2):
            a, b = getattr(self.old, which)(u, v), getattr(self.new, which)(u, v)
            if a is not b:
                apart = either((both(a, negation(b)), both(b, negation(a))))
                yield both(*(hop[name] for hop in hops for name in (u, v)), apart)

    def _hedges(self) -> Formula:
        """The requests of which the policies state another hedge."""
        sides = (self.old, self.new)
        stated = {d.hedge for side in sides for d in side.policy.deadlines.values()} | {None}
        told = [[side.hedged(seconds) for side in sides] for seconds in stated]
        return either(both(old, negation(new)) for old, new in told)

    def _weak(self) -> Formula:
        """The requests whose answers other lanes may redo or judge first, though the same lanes may."""
        common = self._common()
        strengths = [[name for name in side.policy.strength if name in common] for side in (self.old, self.new)]
        apart = [t for t in self.old.lengths
                 if strengths[0] != strengths[1] or self.old.gated(t, common) != self.new.gated(t, common)]  # fmt: skip
        after = either(
            f for side in (self.old, self.new) for hop in (side.redo, side.reach.judge) for f in hop.values()
        )
        return both(self.space.cell_in("tokens", lambda tokens: tokens in apart), after)

    def _alike(self, cell: Cell) -> Formula:
        """The requests that differ in the same ways as the one in `cell`, and begin at the same lanes."""
        known: dict[int, bool] = {}
        tops = [{name: f for name, f in side.top.items() if holds(f, cell, known)} for side in (self.old, self.new)]
        if tops[0].keys() == tops[1].keys():
            parts = [either(both(f, self.new.top.get(name, FALSE)) for name, f in self.old.top.items())]
        else:
            parts = [f for top in tops for f in top.values()]
        parts += self._ways.values()
        if {key.what for key, f in self._ways.items() if holds(f, cell, known)} == {"weak"}:
            parts += self._details(cell, known)
        return both(*(f if holds(f, cell, known) else negation(f) for f in parts))

    def _details(self, cell: Cell, known: dict[int, bool]) -> Iterator[Formula]:
        """All that a plan depends on beside its ends."""
        at = self.space.index["tokens"]
        length = self.space.dimensions[at].values[cell[at]]
        yield self.space.cell_in("tokens", lambda tokens: tokens == length)
        for side in (self.old, self.new):
            yield from side.reach.open.values()
            for hop, before in ((side.reach.first, side.before), (side.tail, side.after)):
                yield from hop.values()
                lanes = [name for name, f in hop.items() if holds(f, cell, known)]
                yield from (before(u, v) for u, v in combinations(lanes, 2))

    def _shown(self, cell: Cell, alike: Formula) -> Change | None:
        """The class as the interpreter sees it; None where nothing differs after all, which only `weak` may mean."""
        values, known = values_of(self.space, cell), dict[int, bool]()
        ways = {key for key, formula in self._ways.items() if holds(formula, cell, known)}
        opens = {name for side in (self.old, self.new) for name, f in side.reach.open.items() if holds(f, cell, known)}
        for down in _outages([name for name in self.lanes if name in opens]):
            old, new = (self._side(side.policy, values, down) for side in (self.old, self.new))
            if old.way != new.way:
                return Change(
                    flags=self._flags(values, down), down=down, old=old, new=new,
                    gained=tuple(key.lane for key in self._ways if key.what == "reaches gained" and key in ways),
                    lost=tuple(key.lane for key in self._ways if key.what == "reaches lost" and key in ways),
                    requests=self.oracle.count(alike) if isinstance(self.oracle, Enumeration) else None,
                    formula=alike,
                )  # fmt: skip
        if {key.what for key in ways} != {"weak"}:
            told = " ".join(flags(self.space, values)) or "no flags"
            raise NotProved(f"the proof and the interpreter disagree on {told}: a defect of Laneway, please report it")
        return None

    def _flags(self, values: dict[str, Value], down: tuple[str, ...]) -> tuple[str, ...]:
        """What shows the request to either policy, with the evidence that one of them needs of lanes that both have."""
        sides = (self.old.policy, self.new.policy)
        needed = (flag for p in sides for flag in evidence(p, read_by(p, values), down, self.today) if flag in p.lanes)
        both_have = dict.fromkeys(lane for lane in needed if all(lane in p.lanes for p in sides))
        return (*flags(self.space, values), *(word for lane in both_have for word in ("--evidence", lane)))

    def _side(self, policy: Policy, values: dict[str, Value], down: tuple[str, ...]) -> Side:
        signals = read_by(policy, values)
        facts = without(policy, signals, down, self.today)
        held = decide(free(policy, cheapest(policy, signals.tokens), approved=False), Ask(), signals, facts)
        made = decide(free(policy, cheapest(policy, signals.tokens), approved=True), Ask(), signals, facts)
        if isinstance(made, Route):
            made = msgspec.structs.replace(made, estimated_cost=None)
        review = held.reasons[0] if isinstance(held, Hold) and held.release == "after-approval" else None
        return Side(policy, signals, made, review)

    def access(self, data_class: str) -> Iterator[Access]:
        """The lanes that requests of the class, as either policy reads them, reach under the new policy alone."""
        of_class = either(side.space.cell_in("sensitivity", lambda v: v == data_class) for side in (self.old, self.new))
        for name, reached in self.new.reach.reached.items():
            was = self.old.policy.lanes.get(name)
            how = () if was is None else moved(was, self.new.policy.lanes[name])
            fresh = reached if how else both(reached, negation(self.old.reach.reached.get(name, FALSE)))
            cell = smallest(self.space, self.oracle, both(of_class, fresh))
            if cell is not None:
                yield self._opened(cell, data_class, name, how)

    def _opened(self, cell: Cell, data_class: str, lane: str, how: tuple[str, ...]) -> Access:
        values = values_of(self.space, cell)
        policy = self.new.policy
        signals = read_by(policy, values)
        down = outage(free(policy, cheapest(policy, signals.tokens), approved=True), signals, lane, self.today)
        return Access(
            data_class=data_class, lane=lane, moved=how, flags=self._flags(values, down), down=down,
            old=self._side(self.old.policy, values, down), new=self._side(policy, values, down),
        )  # fmt: skip


def moved(old: Lane, new: Lane) -> tuple[str, ...]:
    """The facts by which a lane of one name is another place."""
    return tuple(
        fact for fact in ("kind", "url", "runs", "stores", "owner") if getattr(old, fact) != getattr(new, fact)
    )


def _outages(lanes: list[str]) -> Iterator[tuple[str, ...]]:
    """Sets of lanes, small ones first; of more than ten lanes those of up to three, and all but up to five."""
    most = len(lanes) if len(lanes) <= 10 else 3
    for n in range(most + 1):
        yield from combinations(lanes, n)
    for n in range(5 if most < len(lanes) else -1, -1, -1):
        yield from (tuple(name for name in lanes if name not in up) for up in combinations(lanes, n))


def _on_weak(policy: Policy) -> str | None:
    return policy.gate.weak_stop if policy.gate.checks else None


def _comparable(old: Policy, new: Policy) -> None:
    for name in old.facts.keys() & new.facts.keys():
        if bool(old.facts[name].values) != bool(new.facts[name].values):
            raise NotProved(f"the fact `{name}` is a word in one policy and a number in the other; rename one")


@lru_cache(maxsize=256)
def free(policy: Policy, cheap: tuple[str, ...], *, approved: bool) -> Policy:
    """The policy with prices that keep this order and that every ceiling can pay; `approved`: and no reviews."""
    order = {name: Price(0, place - len(cheap), 0) for place, name in enumerate(cheap)}
    lanes = {name: replace(x, price=x.price and order[name]) for name, x in policy.lanes.items()}
    return replace(policy, lanes=lanes, reviews=() if approved else policy.reviews)
