"""kinds: the kinds of request that a policy tells apart, counted for the second proof and apart from space.

A fact's values fall into kinds by what the policy's tests and its other uses of the fact say of them. A bound is
looked at from both sides and exactly, so that no number between two bounds is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain, combinations

from laneway.condition import All, Any, Condition, Not, Test
from laneway.policy import Policy, Unlabelled, Workload
from laneway.regions import COUNTRIES
from laneway.signals import DIFFICULTIES, LATENCIES, NEEDS, STAKES, Signals

__all__ = ["Kinds", "Value", "sureness"]

Value = str | float | tuple[str, ...] | None

_BUILT_IN = (
    "sensitivity",
    "difficulty",
    "stakes",
    "latency",
    "ceiling",
    "tokens",
    "needs",
    "workload",
    "team",
    "region",
)
_WORDS = {"difficulty": DIFFICULTIES, "stakes": STAKES, "latency": LATENCIES}


class Kinds:
    """By fact the kinds of its values, each with one value that stands for it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        lists = (policy.routes, policy.fallbacks, policy.reviews, policy.limits, policy.shadows, policy.must)
        self._tests: dict[str, list[Test]] = {}
        for test in dict.fromkeys(chain.from_iterable(_tests(rule.when) for rules in lists for rule in rules)):
            self._tests.setdefault(test.fact, []).append(test)
        self.facts = (*_BUILT_IN, *(fact for fact in policy.facts if fact in self._tests))
        self._told = [{self._tells(fact, value): value for value in self._values(fact)} for fact in self.facts]
        self.values = [list(told.values()) for told in self._told]

    def kind(self, fact: str, value: Value) -> int | None:
        """The number of the value's kind, None where the fact has no such value."""
        if not self._is_one(fact, value):
            return None
        told, kinds = self._tells(fact, value), list(self._told[self.facts.index(fact)])
        return kinds.index(told) if told in kinds else None

    def _values(self, fact: str) -> Iterable[Value]:
        """Enough values of the fact to see each of its kinds."""
        policy, tests = self._policy, self._tests.get(fact, [])
        if fact == "sensitivity":
            return policy.classes
        if fact in _WORDS:
            return _WORDS[fact]
        if fact == "workload":
            return (*policy.workloads, None)
        if fact == "ceiling":
            return (*_around([*_bounds(tests), *_money(policy), 0.0], 0.0), None)
        if not tests:
            return (0,) if fact == "tokens" else ((),) if fact == "needs" else (None,)
        if fact == "tokens":
            contexts = [lane.limits.context for lane in policy.lanes.values() if lane.limits.context is not None]
            at = [math.floor(bound) for bound in (*_bounds(tests), *contexts, 0)]
            return [n for bound in at for n in (bound - 1, bound, bound + 1) if n >= 0]
        if fact == "needs":
            return (some for n in range(len(NEEDS) + 1) for some in combinations(NEEDS, n))
        if fact in ("team", "region"):
            return (*(str(v) for test in tests for v in test.values), None)
        stated = policy.facts[fact]
        return (*(stated.values or _around(_bounds(tests), stated.low, stated.high)), None)

    def _is_one(self, fact: str, value: Value) -> bool:
        """Whether a request may state the value at all."""
        policy = self._policy
        if fact == "needs":
            return set(value or ()) <= set(NEEDS)  # type: ignore[arg-type]
        if fact in ("ceiling", "tokens"):
            return value is None or 0 <= float(value) < math.inf  # type: ignore[arg-type]
        if fact in ("sensitivity", *_WORDS, "team") or value is None:
            return True  # its kind says so
        if fact == "workload":
            return value in policy.workloads
        if fact == "region":
            return value in COUNTRIES
        stated = policy.facts[fact]
        if stated.values:
            return value in stated.values
        return isinstance(value, int | float) and _low(stated.low) <= value <= _high(stated.high)

    def _tells(self, fact: str, value: Value) -> tuple[object, ...]:
        """All that the policy says of the value: two values of which it says the same are of one kind."""
        return (*(sureness(test, value) for test in self._tests.get(fact, ())), *self._uses(fact, value))

    def _uses(self, fact: str, value: Value) -> Iterator[object]:
        policy = self._policy
        stated: tuple[Unlabelled | Workload, ...] = (policy.unlabelled, *policy.workloads.values())
        if fact == "sensitivity":
            yield value
        elif fact == "workload":
            work = policy.workloads.get(str(value)) if value is not None else None
            yield work and (work.sensitivity, work.difficulty, work.stakes, work.ceiling)
            yield bool(work and work.evals and policy.gate.bar)
            yield tuple(waiver.workloads is None or value in waiver.workloads for waiver in policy.gate.waivers)
        elif fact == "difficulty":
            yield tuple(value == one.difficulty for one in stated)
        elif fact == "stakes":
            yield value == "high" and "high" in [one.stakes for one in stated]
        elif fact == "ceiling":
            yield value is None or tuple(value <= amount for amount in _money(policy))  # type: ignore[operator]
        elif fact == "tokens":
            contexts = (lane.limits.context for lane in policy.lanes.values())
            yield tuple(context is None or value <= context for context in contexts)  # type: ignore[operator]
        elif fact == "needs":
            supports = (lane.supports for lane in policy.lanes.values())
            yield tuple(can is None or can.issuperset(value) for can in supports)  # type: ignore[arg-type]


def sureness(test: Test, value: Value) -> int:
    """Whether the fact's value passes the test: 0 no, 1 nobody knows, 2 yes."""
    built_in = test.fact in _BUILT_IN
    stated = {} if value is None else {test.fact: value}
    signals = Signals(**({"sensitivity": ""} | (stated if built_in else {"declared": stated})))
    return {False: 0, None: 1, True: 2}[test.holds(signals)]


def _tests(condition: Condition) -> Iterator[Test]:
    if isinstance(condition, Test):
        yield condition
    for part in condition.parts if isinstance(condition, All | Any) else ():
        yield from _tests(part)
    if isinstance(condition, Not):
        yield from _tests(condition.part)


def _bounds(tests: Iterable[Test]) -> list[float]:
    return [float(value) for test in tests for value in test.values]


def _money(policy: Policy) -> list[float]:
    amounts = (
        policy.unlabelled.ceiling,
        *(work.ceiling for work in policy.workloads.values()),
        *(rule.cost_over for rule in policy.must),
    )
    return [amount for amount in amounts if amount is not None]


def _around(bounds: Iterable[float], low: float | None, high: float | None = None) -> list[float]:
    """Each bound and the numbers on either side of it, as far as they are in range."""
    ends = [end for end in (low, high) if end is not None]
    numbers = (n for b in (*bounds, *ends) for n in (math.nextafter(b, -math.inf), b, math.nextafter(b, math.inf)))
    return [n for n in numbers if _low(low) <= n <= _high(high)]


def _low(bound: float | None) -> float:
    return -math.inf if bound is None else bound


def _high(bound: float | None) -> float:
    return math.inf if bound is None else bound
