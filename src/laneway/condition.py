"""Conditions: what a rule's `when` says about a request, in three values.

A condition is a small frozen tree over Signals. `holds` answers True, False, or None where a fact that
it needs is unknown; the caller picks the safe reading (routes take None for no, the wall's limits and
the reviews take it for yes). `because` names the signals that made the answer what it is, and no others:
one of several alternatives, all of several requirements. `surely` and `possibly` compile a condition into
the two safe readings, for the request path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

from laneway.signals import Signals

__all__ = [
    "ALWAYS", "BUILT_IN", "All", "Always", "Any", "Condition", "Not", "Op", "Predicate", "Test", "Value", "fact_of",
    "possibly", "surely",
]  # fmt: skip

Value = str | float
Op = Literal["in", "at_least", "at_most", "over", "under"]


def fact_of(signals: Signals, fact: str) -> str | float | tuple[str, ...] | None:
    """The value of a built-in or declared fact; None is unknown."""
    if fact in BUILT_IN:
        value: str | float | tuple[str, ...] | None = getattr(signals, fact)
        return value
    return signals.declared.get(fact)


BUILT_IN = frozenset(Signals.__struct_fields__) - {"declared", "evidence"}
"""The facts that every request has, by name."""

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "at_least": lambda a, b: a >= b,
    "at_most": lambda a, b: a <= b,
    "over": lambda a, b: a > b,
    "under": lambda a, b: a < b,
}


@dataclass(frozen=True, slots=True)
class Always:
    """Holds for every request: a rule without `when`."""

    def holds(self, _: Signals) -> bool | None:
        """True."""
        return True

    def because(self, _: Signals) -> tuple[str, ...]:
        """Nothing: only the rule itself."""
        return ()


ALWAYS = Always()


@dataclass(frozen=True, slots=True)
class Test:
    """One fact against values. `values` is already expanded (an ordered `at_least` becomes a set)."""

    fact: str
    op: Op
    values: frozenset[Value]

    def holds(self, signals: Signals) -> bool | None:
        """Whether the fact's value is among `values`, or compares so with the single number there."""
        value = fact_of(signals, self.fact)
        if value is None:
            # An absent built-in fact is a known answer: no workload, no limit on the money. An absent
            # declared fact is unknown.
            return self.op in ("over", "at_least") if self.fact in BUILT_IN else None
        if self.op == "in":
            if isinstance(value, tuple):
                return not self.values.isdisjoint(value)
            return value in self.values
        (bound,) = self.values
        return _COMPARE[self.op](float(value), float(bound))  # type: ignore[arg-type]  # numeric by the loader

    def because(self, signals: Signals) -> tuple[str, ...]:
        """`fact=value`."""
        value = fact_of(signals, self.fact)
        if value is None:
            return (f"{self.fact}={'none' if self.fact in BUILT_IN else 'unknown'}",)
        return (f"{self.fact}={','.join(value) if isinstance(value, tuple) else value}",)


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]

    def holds(self, signals: Signals) -> bool | None:
        """Kleene's and: a single False decides, then a single None."""
        return _kleene(self.parts, signals, decisive=False)

    def because(self, signals: Signals) -> tuple[str, ...]:
        """Every part's where all hold, else those of the first part that decides against."""
        return _because(self.parts, self.holds(signals), all_of=True, signals=signals)


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds."""

    parts: tuple[Condition, ...]

    def holds(self, signals: Signals) -> bool | None:
        """Kleene's or: a single True decides, then a single None."""
        return _kleene(self.parts, signals, decisive=True)

    def because(self, signals: Signals) -> tuple[str, ...]:
        """Those of the first part that holds, or every part's where none does."""
        return _because(self.parts, self.holds(signals), all_of=False, signals=signals)


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Condition

    def holds(self, signals: Signals) -> bool | None:
        """Kleene's not."""
        answer = self.part.holds(signals)
        return None if answer is None else not answer

    def because(self, signals: Signals) -> tuple[str, ...]:
        """The part's."""
        return self.part.because(signals)


def _kleene(parts: tuple[Condition, ...], signals: Signals, *, decisive: bool) -> bool | None:
    unknown = False
    for part in parts:
        answer = part.holds(signals)
        if answer is decisive:
            return decisive
        unknown = unknown or answer is None
    return None if unknown else not decisive


def _because(parts: tuple[Condition, ...], answer: bool | None, *, all_of: bool, signals: Signals) -> tuple[str, ...]:
    if answer is all_of:
        return tuple(dict.fromkeys(s for part in parts for s in part.because(signals)))
    return next(part.because(signals) for part in parts if part.holds(signals) is answer)


Condition = Always | Test | All | Any | Not

Predicate = Callable[[Signals], bool]


def surely(condition: Condition) -> Predicate:
    """A function that says whether `condition` holds; unknown counts as no."""
    if isinstance(condition, Always):
        return lambda _: True
    if isinstance(condition, Not):
        return _surely_not(condition.part)
    if isinstance(condition, Test):
        return _test(condition)
    parts = tuple(surely(part) for part in condition.parts)
    return _every(parts) if isinstance(condition, All) else _some(parts)


def possibly(condition: Condition) -> Predicate:
    """A function that says whether `condition` may hold; unknown counts as yes."""
    never = _surely_not(condition)
    return lambda signals: not never(signals)


def _surely_not(condition: Condition) -> Predicate:
    if isinstance(condition, Always):
        return lambda _: False
    if isinstance(condition, Not):
        return surely(condition.part)
    if isinstance(condition, Test):
        holds, fact = _test(condition), condition.fact
        if fact in BUILT_IN:
            return lambda signals: not holds(signals)
        return lambda signals: signals.declared.get(fact) is not None and not holds(signals)
    parts = tuple(_surely_not(part) for part in condition.parts)
    return _some(parts) if isinstance(condition, All) else _every(parts)


def _test(test: Test) -> Predicate:
    fact, values = test.fact, test.values
    if test.op != "in":
        return _number_test(test)
    if fact == "needs":
        return lambda signals: not values.isdisjoint(signals.needs)
    if fact not in BUILT_IN:
        return lambda signals: signals.declared.get(fact) in values
    read = attrgetter(fact)
    return lambda signals: read(signals) in values


def _number_test(test: Test) -> Predicate:
    (bound,), compare = test.values, _COMPARE[test.op]
    if test.fact == "tokens":
        return lambda signals: compare(signals.tokens, bound)  # type: ignore[arg-type]  # numeric by the loader
    return lambda signals: test.holds(signals) is True


def _every(parts: tuple[Predicate, ...]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    first, others = _every(parts[: len(parts) // 2]), _every(parts[len(parts) // 2 :])
    return lambda signals: first(signals) and others(signals)


def _some(parts: tuple[Predicate, ...]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    first, others = _some(parts[: len(parts) // 2]), _some(parts[len(parts) // 2 :])
    return lambda signals: first(signals) or others(signals)
