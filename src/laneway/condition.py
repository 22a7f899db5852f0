"""Conditions: what a rule's `when` says about a request, in three values.

A condition is a small frozen tree over Signals. `holds` answers True, False, or None where a fact that
it needs is unknown; the caller picks the safe reading (routes take None for no, the wall's limits and
the reviews take it for yes). `because` names the signals that made the answer what it is, and no others:
one of several alternatives, all of several requirements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from laneway.signals import Signals

__all__ = ["ALWAYS", "All", "Always", "Any", "Condition", "Not", "Op", "Test", "Value", "fact_of"]

Value = str | float
Op = Literal["in", "at_least", "at_most", "over", "under"]


def fact_of(signals: Signals, fact: str) -> str | float | tuple[str, ...] | None:
    """The value of a built-in or declared fact; None is unknown."""
    if fact in _BUILT_IN:
        value: str | float | tuple[str, ...] | None = getattr(signals, fact)
        return value
    return signals.declared.get(fact)


_BUILT_IN = frozenset(Signals.__struct_fields__) - {"declared", "evidence"}

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
            return self.op in ("over", "at_least") if self.fact in _BUILT_IN else None
        if self.op == "in":
            if isinstance(value, tuple):
                return not self.values.isdisjoint(value)
            return value in self.values
        (bound,) = self.values
        return _COMPARE[self.op](float(value), float(bound))  # type: ignore[arg-type]  # numeric by the loader

    def because(self, signals: Signals) -> tuple[str, ...]:
        """`fact=value`."""
        value = fact_of(signals, self.fact)
        text = (
            "none"
            if value is None and self.fact in _BUILT_IN
            else "unknown"
            if value is None
            else ",".join(value)
            if isinstance(value, tuple)
            else f"{value}"
        )
        return (f"{self.fact}={text}",)


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Condition, ...]

    def holds(self, signals: Signals) -> bool | None:
        """Kleene's and: a single False decides, then a single None."""
        unknown = False
        for part in self.parts:
            answer = part.holds(signals)
            if answer is False:
                return False
            unknown = unknown or answer is None
        return None if unknown else True

    def because(self, signals: Signals) -> tuple[str, ...]:
        """Every part's where all hold, else those of the first part that decides against."""
        return _because(self.parts, self.holds(signals), all_of=True, signals=signals)


@dataclass(frozen=True, slots=True)
class Any:
    """At least one part holds."""

    parts: tuple[Condition, ...]

    def holds(self, signals: Signals) -> bool | None:
        """Kleene's or: a single True decides, then a single None."""
        unknown = False
        for part in self.parts:
            answer = part.holds(signals)
            if answer:
                return True
            unknown = unknown or answer is None
        return None if unknown else False

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


def _because(parts: tuple[Condition, ...], answer: bool | None, *, all_of: bool, signals: Signals) -> tuple[str, ...]:
    if answer is all_of:
        return tuple(dict.fromkeys(s for part in parts for s in part.because(signals)))
    return next(part.because(signals) for part in parts if part.holds(signals) is answer)


Condition = Always | Test | All | Any | Not
