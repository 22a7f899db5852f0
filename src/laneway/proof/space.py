"""space: the finite request space that a policy can tell apart.

A rule sees a request only through its tests, so that each fact's values fall into a few cells: numbers into
the intervals between the bounds that rules name, words into those that some test tells from the others.
One cell a fact is one request; formulas over cells speak of sets of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from math import prod
from typing import Literal

import msgspec

from laneway.condition import BUILT_IN, All, Always, Any, Condition, Not, Test, fact_of
from laneway.decide import DEFAULT_OUTPUT
from laneway.policy import FactType, Policy, Workload
from laneway.proof.stated import Value, read, signals
from laneway.regions import COUNTRIES
from laneway.signals import DIFFICULTIES, LATENCIES, NEEDS, STAKES, Signals

__all__ = [
    "FALSE", "TRUE", "And", "Cell", "Dimension", "Formula", "In", "Neg", "Or", "Reading", "Space", "Value",
    "both", "cheapest", "conditions", "dearness", "either", "negation", "signals_of",
]  # fmt: skip

Reading = Literal["surely", "possibly"]
"""How a condition over an unknown fact is read: as no, or as yes."""


@dataclass(frozen=True, slots=True, eq=False)
class In:
    """The fact's cell is one of `cells`, a bit mask."""

    fact: int
    cells: int


@dataclass(frozen=True, slots=True, eq=False)
class And:
    """Every part holds; true where there is none."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Or:
    """Some part holds; false where there is none."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Neg:
    """The part does not hold."""

    part: Formula


Formula = In | And | Or | Neg
"""A set of requests. Compared by identity, so that oracles can keep what they know of a shared part."""

TRUE: Formula = And(())
FALSE: Formula = Or(())


def both(*parts: Formula) -> Formula:
    """The conjunction."""
    kept = tuple(part for part in parts if part is not TRUE)
    return FALSE if FALSE in kept else kept[0] if len(kept) == 1 else And(kept) if kept else TRUE


def either(parts: Iterable[Formula]) -> Formula:
    """The disjunction."""
    kept = tuple(part for part in parts if part is not FALSE)
    return TRUE if TRUE in kept else kept[0] if len(kept) == 1 else Or(kept) if kept else FALSE


def negation(formula: Formula) -> Formula:
    """The requests that are not in the set."""
    return FALSE if formula is TRUE else TRUE if formula is FALSE else Neg(formula)


@dataclass(frozen=True, slots=True)
class Dimension:
    """One fact: a value that stands for each of its cells (None is absent or unknown), and each value's cell.

    `told` has the cells by all that tells values apart.
    """

    fact: str
    values: tuple[Value, ...]
    cell: dict[Value, int]
    told: dict[object, int]


Cell = tuple[int, ...]
"""One request of the space: for each dimension the number of its cell."""


class Space:
    """The request space of one policy; or of several that are `compared`, and then of what clients state."""

    def __init__(self, *policies: Policy) -> None:
        self.policies, self.compared = policies, len(policies) > 1
        self._tests = tests = dict[str, dict[Test, None]]()
        for policy in policies:
            for condition in conditions(policy):
                for test in _tests(condition):
                    tests.setdefault(test.fact, {})[test] = None
        self.dimensions = tuple(
            _grouped(fact, values, tuple(tests.get(fact, ())), policies)
            for fact, values in _domains(policies, tests).items()
        )
        self.index = {dimension.fact: i for i, dimension in enumerate(self.dimensions)}
        self._formulas: dict[tuple[int, Reading], Formula] = {}
        self._atoms: dict[tuple[int, int], Formula] = {}
        self._kept: list[Condition] = []  # ids above stay theirs only while the conditions live

    @property
    def size(self) -> int:
        """How many requests the space holds."""
        return prod(len(dimension.values) for dimension in self.dimensions)

    def tells(self, fact: str, value: Value) -> object:
        """All that tells the value from others of the fact."""
        return _told(fact, value, self._tests.get(fact, ()), self.policies)

    def place(self, fact: str, value: Value) -> int | None:
        """The number of the cell that any value of the fact falls into; None for one that no client can state."""
        dimension = self.dimensions[self.index[fact]]
        return 0 if len(dimension.values) == 1 else dimension.told.get(self.tells(fact, value))

    def cell_in(self, fact: str, wanted: Callable[[Value], bool]) -> Formula:
        """The requests whose `fact` has a wanted value."""
        i = self.index[fact]
        mask = sum(1 << k for k, value in enumerate(self.dimensions[i].values) if wanted(value))
        return self._atom(i, mask)

    def _atom(self, fact: int, mask: int) -> Formula:
        if not mask:
            return FALSE
        if mask == (1 << len(self.dimensions[fact].values)) - 1:
            return TRUE
        return self._atoms.setdefault((fact, mask), In(fact, mask))

    def formula(self, condition: Condition, reading: Reading) -> Formula:
        """`condition` as a set of requests, with unknown facts read as said."""
        key = (id(condition), reading)
        if key not in self._formulas:
            self._kept.append(condition)
            self._formulas[key] = self._formula(condition, reading)
        return self._formulas[key]

    def _formula(self, condition: Condition, reading: Reading) -> Formula:
        if isinstance(condition, Always):
            return TRUE
        if isinstance(condition, Not):
            return negation(self.formula(condition.part, "possibly" if reading == "surely" else "surely"))
        if isinstance(condition, Test):
            test, wanted = condition, (True,) if reading == "surely" else (True, None)
            return self.cell_in(test.fact, lambda value: test.holds(_with(test.fact, value)) in wanted)
        parts = [self.formula(part, reading) for part in condition.parts]
        return both(*parts) if isinstance(condition, All) else either(parts)

    def having(self, fact: str, value: Value) -> Formula:
        """The requests whose `fact` has the value, or one that nothing tells from it."""
        i = self.index[fact]
        return self._atom(i, 1 << self.dimensions[i].cell[value])

    @cached_property
    def possible(self) -> Formula:
        """The requests that `classify` can make: floors and ceilings of workloads and `unlabelled` hold."""
        return TRUE if self.compared else self._possible(self.policies[0])

    def _possible(self, policy: Policy) -> Formula:
        named = (*((w.name, w) for w in policy.workloads.values()), (None, None))
        return either(both(self._asking(policy, name), *self._floors(policy, workload)) for name, workload in named)

    def _asking(self, policy: Policy, workload: str | None) -> Formula:
        return self.cell_in("workload", lambda v: (v if v in policy.workloads else None) == workload)

    def _floors(self, policy: Policy, workload: Workload | None) -> Iterator[Formula]:
        classes, unlabelled = policy.classes, policy.unlabelled
        if workload is not None and workload.sensitivity is not None:
            floor = classes.index(workload.sensitivity)
            yield self.cell_in("sensitivity", lambda v: v in classes and classes.index(str(v)) >= floor)
        difficulty = (workload and workload.difficulty) or unlabelled.difficulty
        if difficulty != "auto":
            yield self.cell_in("difficulty", lambda v: v == difficulty)
        if ((workload and workload.stakes) or unlabelled.stakes) == "high":
            yield self.cell_in("stakes", lambda v: v == "high")
        limit = unlabelled.ceiling if workload is None or workload.ceiling is None else workload.ceiling
        if limit is not None:
            yield self.cell_in("ceiling", lambda v: isinstance(v, float) and v <= limit)

    def of(self, signals: Signals) -> Cell:
        """The cell of a request whose facts stand for their cells."""
        return tuple(d.values.index(fact_of(signals, d.fact)) for d in self.dimensions)


def cheapest(policy: Policy, tokens: float) -> tuple[str, ...]:
    """Every lane by the price of so many input tokens, the weaker first where two cost the same."""
    return tuple(sorted(policy.lanes, key=lambda name: dearness(policy, name, tokens)))


def dearness(policy: Policy, name: str, tokens: float) -> tuple[float, int]:
    """What puts a lane behind another: its price for so many input tokens (unknown is dearest), then its strength."""
    cost = policy.lanes[name].cost(int(tokens), DEFAULT_OUTPUT)
    return float("inf") if cost is None else cost, policy.rank[name]


def signals_of(space: Space, cell: Cell) -> Signals:
    """A request in the cell."""
    return signals({d.fact: d.values[i] for d, i in zip(space.dimensions, cell, strict=True)})


def conditions(policy: Policy) -> Iterator[Condition]:
    """Every condition that the policy states."""
    for rule in (*policy.routes, *policy.fallbacks, *policy.reviews, *policy.limits, *policy.shadows, *policy.must):
        yield rule.when


def _tests(condition: Condition) -> Iterator[Test]:
    if isinstance(condition, Test):
        yield condition
    elif isinstance(condition, Not):
        yield from _tests(condition.part)
    elif isinstance(condition, All | Any):
        for part in condition.parts:
            yield from _tests(part)


def _with(fact: str, value: Value) -> Signals:
    """A request of which nothing but this fact matters."""
    if fact in BUILT_IN:
        return msgspec.structs.replace(_BLANK, **{fact: value})
    return msgspec.structs.replace(_BLANK, declared={} if value is None else {fact: value})


_BLANK = Signals(sensitivity="")


def _domains(policies: tuple[Policy, ...], tests: dict[str, dict[Test, None]]) -> dict[str, tuple[Value, ...]]:
    """Each fact's values, the usual one first, before those that no test tells apart are put together."""
    words = {fact: [str(v) for test in found for v in sorted(map(str, test.values))] for fact, found in tests.items()}
    money = {amount for policy in policies for amount in _money(policy)}
    contexts = {float(lane.limits.context) for p in policies for lane in p.lanes.values() if lane.limits.context}
    turns = {turn for policy in policies for turn in _turns(policy)} if len(policies) > 1 else set()
    domains: dict[str, tuple[Value, ...]] = {
        "sensitivity": (*_silent(policies, "sensitivity"), *dict.fromkeys(c for p in policies for c in p.classes)),
        "difficulty": DIFFICULTIES,
        "stakes": STAKES,
        "latency": (*_silent(policies, "latency"), *LATENCIES),
        "ceiling": (None, *_points(tests.get("ceiling", ()), money, low=0.0)),
        "tokens": (0,)
        if "tokens" not in tests and not turns
        else tuple(_points(tests.get("tokens", ()), contexts | turns, 0.0, whole=True)),
        "needs": tuple(c for n in range(len(NEEDS) + 1) for c in combinations(NEEDS, n)) if "needs" in tests else ((),),
        "workload": (None, *dict.fromkeys(name for policy in policies for name in policy.workloads)),
        "team": (None, *dict.fromkeys(word for word in words.get("team", ()) if len(word) <= _LONGEST)),
        "region": (None, *sorted(COUNTRIES)) if "region" in tests else (None,),
    }
    for policy in policies:
        for fact in policy.facts.values():
            if fact.name in tests:
                said = [value for value in fact.values if len(value) <= _LONGEST]
                values = said if fact.values else _range(fact, tests[fact.name])
                domains[fact.name] = tuple(dict.fromkeys((*domains.get(fact.name, (None,)), *values)))
    return domains


def _silent(policies: tuple[Policy, ...], fact: str) -> tuple[None, ...]:
    """None as a value of its own where policies that are compared make different things of silence."""
    names = (None, *dict.fromkeys(name for policy in policies for name in policy.workloads))
    silences = {tuple(read(policy, fact, None, name) for name in names) for policy in policies}
    return (None,) if len(silences) > 1 else ()


def _turns(policy: Policy) -> Iterator[float]:
    """The lengths of input at which one lane becomes cheaper than another."""
    prices = {lane.price for lane in policy.lanes.values() if lane.price is not None}
    for a, b in combinations(prices, 2):
        if a.input != b.input and (turn := DEFAULT_OUTPUT * (b.output - a.output) / (a.input - b.input)) >= 0:
            yield turn


# What a client can send at all: nine decimals, twelve digits, a hundred characters, and a body of 8 MiB.
_DECIMALS, _MOST, _LONGEST, _MOST_TOKENS = 9, 1e12, 100, 8 * 2**20


def _range(fact: FactType, tests: Iterable[Test]) -> Iterator[float]:
    bounds = {n for n in (fact.low, fact.high) if n is not None}
    return _points(tests, bounds, fact.low, fact.high)


def _points(
    tests: Iterable[Test], more: Iterable[float] = (), low: float | None = None, high: float | None = None,
    *, whole: bool = False,
) -> Iterator[float]:  # fmt: skip
    """A number for each bound that a test names and one for each gap between two of them."""
    bounds = sorted(
        {float(v) for test in tests for v in test.values} | set(more) | ({low} if low is not None else set())
    )
    if not bounds:
        bounds = [0.0]
    gaps = [(a + b) / 2 if not whole else float(int(a) + 1) for a, b in pairwise(bounds)]
    ends = [bounds[0] - 1, bounds[-1] + 1]
    points = sorted({round(p, _DECIMALS) for p in (*bounds, *gaps, *ends)})
    most = _MOST_TOKENS if whole else _MOST
    kept = (p for p in points if p < most and (low is None or p >= low) and (high is None or p <= high))
    return (int(p) if whole else p for p in kept)


def _grouped(fact: str, values: tuple[Value, ...], tests: tuple[Test, ...], policies: tuple[Policy, ...]) -> Dimension:
    """One cell for each set of values that nothing in the policies tells apart."""
    cells: dict[object, int] = {}
    stands: list[Value] = []
    cell: dict[Value, int] = {}
    for value in values:
        told = _told(fact, value, tests, policies)
        if told not in cells:
            cells[told] = len(stands)
            stands.append(value)
        cell[value] = cells[told]
    return Dimension(fact, tuple(stands), cell, cells)


def _told(fact: str, value: Value, tests: Iterable[Test], policies: tuple[Policy, ...]) -> object:
    """All that tells a value from others of the fact."""
    signals = _with(fact, value)
    return (*(t.holds(signals) for t in tests), *_otherwise(fact, value, policies))


def _otherwise(fact: str, value: Value, policies: tuple[Policy, ...]) -> Iterator[object]:
    """What, besides tests, makes two values of a fact different."""
    compared = len(policies) > 1
    if fact == "sensitivity":
        yield value
    elif fact == "latency":
        yield value is None
    for policy in policies:
        if fact == "workload":
            workload = policy.workloads.get(str(value))
            latency = workload.latency if workload and compared else None
            yield workload and replace(
                workload, name="", says="", line=0, latency=latency, prompt=None, language=None, evals=(), output=None
            )
            yield value in policy.measured
            yield tuple(w.workloads is None or value in w.workloads for w in policy.gate.waivers)
        elif fact == "difficulty":
            yield value == policy.unlabelled.difficulty
            yield tuple(value == w.difficulty for w in policy.workloads.values())
        elif fact == "stakes":
            stakes = [policy.unlabelled.stakes, *(workload.stakes for workload in policy.workloads.values())]
            yield value == "high" and "high" in stakes
        elif fact == "tokens":
            yield tuple(x.limits.context is not None and value > x.limits.context for x in policy.lanes.values())  # type: ignore[operator]
            yield cheapest(policy, value) if compared else ()  # type: ignore[arg-type]
        elif fact == "needs":
            yield tuple(x.supports is None or set(value) <= x.supports for x in policy.lanes.values())  # type: ignore[arg-type]
        elif fact == "ceiling":
            yield value is None
            yield tuple(isinstance(value, float) and value <= amount for amount in _money(policy))


def _money(policy: Policy) -> Iterator[float]:
    """Every amount that the policy names outside of tests."""
    amounts = [policy.unlabelled.ceiling, *(workload.ceiling for workload in policy.workloads.values())]
    yield from (amount for amount in (*amounts, *(must.cost_over for must in policy.must)) if amount is not None)
