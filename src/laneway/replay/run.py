"""run: recorded requests in, each decided again by another policy, and their totals out.

What requests have in common is worked out once: a request costs a few lookups, and its own money.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from laneway.decision import Route
from laneway.facts import Facts
from laneway.policy import Policy
from laneway.proof.space import Space
from laneway.replay.again import Again
from laneway.replay.kind import NOBODY_KNOWS, Before, Kind, kind_of
from laneway.replay.money import BILLION, Sum, estimate, repriced, whole
from laneway.replay.recorded import Recorded, Said, decided
from laneway.replay.restated import Stated, read_back
from laneway.replay.totals import Totals
from laneway.signals import Ask, Signals
from laneway.way import Way, way

__all__ = ["Case", "Policies", "Replay", "Row", "Sort"]

Policies = Callable[[str], Policy | str]
"""The policy with a hash, or why it cannot be had."""

_MOST_KINDS = 10_000
_MOST_LENGTHS = 200_000
"""How many kinds of request, and lengths, are kept before they are added up or forgotten: what bounds the memory."""
_ask = msgspec.json.Decoder(Ask)
_signals = msgspec.json.Decoder(Signals)
_facts = msgspec.json.Decoder(Facts)


class Case(NamedTuple):
    """One kind of request that is decided otherwise, for whoever sorts such into classes."""

    old: Policy
    stated: Stated
    ask: Ask
    facts: Facts


Sort = Callable[[Case], str]
"""Which class of change a request belongs to."""


class Row(NamedTuple):
    """One request that is decided otherwise. Money in the policy's currency; `low` and `high` None where unknown."""

    id: str
    data_class: str
    workload: str
    change: str
    old: str
    new: str
    rule: str
    reason: str
    cost: float
    low: float | None
    high: float | None
    label: str


class _Shape(NamedTuple):
    """What requests that differ in length alone have in common."""

    old: Policy
    stated: Stated
    signals: Signals
    ask: Ask
    turns: tuple[int, ...]


class _Case(NamedTuple):
    """What is kept of a kind of request: all but its money is known."""

    kind: Kind
    way: Way | None
    signals: Signals
    ask: Ask
    same_calls: bool
    same_price: bool
    found: Sum


class Replay:
    """Requests decided again by `again`, with their totals. `old` is what they are compared with, None for the record.

    `space` tells lengths apart. `sort` says which class of change a request belongs to; `row` is called with each
    request that is decided otherwise.
    """

    def __init__(
        self, again: Again, space: Space, policies: Policies, *, old: Again | None = None, sort: Sort | None = None,
        row: Callable[[Row], None] | None = None,
    ) -> None:  # fmt: skip
        self.again, self.old, self.totals = again, old, Totals()
        self._space, self._policies, self._sort, self._row = space, policies, sort, row
        self._known: dict[str, Policy | str] = {}
        self._shapes: dict[tuple[str, str, bytes, bytes], _Shape] = {}
        self._facts: dict[bytes, Facts] = {}
        self._lengths: dict[int, object] = {}
        self._ways: dict[tuple[str, Said], Way] = {}
        self._cases: dict[tuple[object, ...], _Case] = {}

    def add(self, one: Recorded) -> None:
        """Decide one request again. Raises msgspec.MsgspecError for a record that cannot be read."""
        if len(self._cases) >= _MOST_KINDS:
            self.finish()
        shape = self._shape(one)
        if isinstance(shape, str):
            self.totals.lost[shape] += 1
            return
        length = self._lengths.get(one.tokens)
        if length is None:
            if len(self._lengths) >= _MOST_LENGTHS:
                self._lengths.clear()
            length = self._lengths[one.tokens] = self._space.tells("tokens", one.tokens)
        key = (id(shape), one.facts, one.said, length, bisect_right(shape.turns, one.tokens))
        case = self._cases.get(key)
        if case is None:
            case = self._cases[key] = self._case(shape, one)
        cost, bounds = self._money(case, one)
        case.found.add(cost, bounds)
        if self._row is not None and case.kind.changed:
            self._row(_row(one, case.kind, cost, bounds))

    def finish(self) -> Totals:
        """Add up what is kept; the totals."""
        for case in self._cases.values():
            self.totals.fold(case.kind, case.found)
        self._cases.clear()
        self._shapes.clear()  # their ids are in the keys of cases
        self._facts.clear()
        self._ways.clear()
        return self.totals

    def _shape(self, one: Recorded) -> _Shape | str:
        """What the request has in common with others; or why it cannot be decided again."""
        key = one.policy, one.model, one.ask, one.alike
        shape = self._shapes.get(key)
        if shape is None:
            old = self._known.get(one.policy) or self._policies(one.policy)
            self._known[one.policy] = old
            if isinstance(old, str):
                return old
            ask, signals = _ask.decode(one.ask), _signals.decode(one.signals)
            stated = read_back(one.model, ask.pin, signals)
            turns = {n for side in (self.again, self.old) if side is not None for n in side.turns(stated, ask)}
            shape = self._shapes[key] = _Shape(old, stated, signals, ask, tuple(sorted(turns)))
        return shape

    def _case(self, shape: _Shape, one: Recorded) -> _Case:
        """Decide a kind of request, by one of them."""
        if one.facts not in self._facts:
            self._facts[one.facts] = _facts.decode(one.facts)
        case = Case(shape.old, shape.stated._replace(tokens=one.tokens), shape.ask, self._facts[one.facts])
        recorded = self._recorded(one, case.old)
        before = recorded if self.old is None or one.policy == self.old.policy.hash else self._remade(self.old, case)
        made = self.again.made(*case)
        kind = kind_of(self.again.policy, shape.signals, before, made) if before else NOBODY_KNOWS
        if self._sort is not None and kind.changed:
            kind = kind._replace(label=self._sort(case))
        if shape.old.currency != self.again.policy.currency:
            kind = kind._replace(currency=shape.old.currency)
        calls = made.way is not None and _same_calls(recorded.way, made.way)
        price = calls and _same_prices(recorded, self.again.policy)
        return _Case(kind, made.way, made.signals or shape.signals, shape.ask, calls, price, Sum())

    def _recorded(self, one: Recorded, old: Policy) -> Before:
        """What was decided, and is on record."""
        key = one.policy, one.said
        if key not in self._ways:
            self._ways[key] = way(old, decided(one.said))
        return Before(old, self._ways[key], getattr(one.said, "evidence", "") == "waived")

    def _remade(self, old: Again, case: Case) -> Before | None:
        """What a policy that did not decide the request makes of it; None where nobody knows."""
        made = old.made(*case)
        if made.way is None:
            return None
        waived = isinstance(made.decision, Route) and made.decision.evidence == "waived"
        return Before(old.policy, made.way, waived)

    def _money(self, case: _Case, one: Recorded) -> tuple[int, tuple[int, int] | None]:
        """What the request cost, and the bounds of what it would have cost."""
        cost, end = whole(one.cost), case.kind.end
        if case.kind.currency:
            return 0, None
        if case.same_price:
            return cost, (cost, cost)
        if case.way is None:
            return cost, None if end == "unknown" else (0, 0)
        if case.same_calls:
            again = repriced(self.again.policy, one.calls)
            return cost, None if again is None else (again, again)
        return cost, estimate(self.again.policy, case.way, case.ask, case.signals, one.tokens, one.calls)


def _same_calls(old: Way, new: Way) -> bool:
    """Whether the calls on record would answer the request: what differs comes after them."""
    parts = ("lanes", "redo", "judge", "on_weak", "hedge")
    return all(getattr(old, part) == getattr(new, part) for part in parts)


def _same_prices(before: Before, new: Policy) -> bool:
    old, now = before.policy.lanes, new.lanes
    called = (*before.way.lanes, *(name for name in before.way.redo if name), *before.way.judge)
    return all(old[name].price == now[name].price for name in called)


def _row(one: Recorded, kind: Kind, cost: int, bounds: tuple[int, int] | None) -> Row:
    low, high = (None, None) if bounds is None else (bounds[0] / BILLION, bounds[1] / BILLION)
    return Row(
        one.id, kind.data_class, kind.workload, kind.end, kind.before, kind.after, kind.rule, kind.reason,
        cost / BILLION, low, high, kind.label,
    )  # fmt: skip
