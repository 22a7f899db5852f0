"""shares: which class of `diff` a recorded request that is decided otherwise belongs to.

A class is a set of the requests that clients state, in every outage, on one day; what opens and shuts a lane for a
single request is left out of it. So a recorded request that changes is in exactly one class, or it changes by something
that `diff` does not compare, which is found by taking one such thing after the other away.
"""

from __future__ import annotations

import datetime
from functools import lru_cache

import msgspec

from laneway.decide import decide
from laneway.diff.compare import Change, free
from laneway.diff.seen import holds
from laneway.facts import supposed
from laneway.proof.space import Cell, Space, cheapest
from laneway.proof.stated import Value, read, read_by
from laneway.replay.again import Again
from laneway.replay.restated import Stated, read_anew
from laneway.replay.run import Case
from laneway.signals import Ask, Signals
from laneway.way import Way, change, way

__all__ = ["BESIDE", "NONE", "Classes"]

BESIDE = {
    "names": "a name that the new policy does not know",
    "detection": "another class for what is found in texts",
    "dates": "a date in a policy, between the day of the request and today",
    "evidence": "evidence, a bar or a waiver",
    "money": "a price or a ceiling",
    "pin": "a lane that the client asked for by name",
}
"""What changes requests beside the classes of `diff`, in words."""
NONE = "none"
"""In no class, and by nothing that is known: a defect."""


class Classes:
    """The classes of change of two policies on a day: sorts what is replayed under both."""

    def __init__(self, old: Again, new: Again, space: Space, changes: tuple[Change, ...], today: datetime.date) -> None:
        self._old, self._new, self._space, self._changes, self._today = old, new, space, changes, today
        self._of = lru_cache(1 << 16)(self._class)

    def sort(self, case: Case) -> str:
        """The number of the class, from 1; or a key of BESIDE."""
        if read_anew(self._new.policy, case.stated).unknown:
            return "names"
        cell = self.cell(case.stated)
        return (self._of(cell) if cell is not None else "") or self._beside(case)

    def cell(self, stated: Stated) -> Cell | None:
        """The request as `diff` tells requests apart; None for one that no client of both policies can state."""
        values = self._values(stated)
        cell = tuple(self._space.place(d.fact, values[d.fact]) for d in self._space.dimensions)
        return None if None in cell else cell  # type: ignore[return-value]

    def _class(self, cell: Cell) -> str:
        known: dict[int, bool] = {}
        return next((str(n) for n, one in enumerate(self._changes, 1) if holds(one.formula, cell, known)), "")

    def _values(self, stated: Stated) -> dict[str, Value]:
        """What the client states, as `diff` tells requests apart; what its text holds is read by the old policy."""
        old, name, labels = self._old.policy, stated.workload, stated.labels
        seen = read_anew(old, stated).signals[0]
        label = labels.get("sensitivity")
        ceiling = labels.get("ceiling")
        values: dict[str, Value] = {
            "sensitivity": label if read(old, "sensitivity", label, name) == seen.sensitivity else seen.sensitivity,
            "difficulty": seen.difficulty,
            "stakes": "high" if labels.get("stakes") == "high" else "normal",
            "latency": labels.get("latency"),
            "ceiling": None if ceiling is None else float(ceiling),
            "tokens": stated.tokens, "needs": stated.needs, "workload": name,
            "team": seen.team, "region": seen.region,
        }  # fmt: skip
        for dimension in self._space.dimensions:
            fact = dimension.fact
            if values.setdefault(fact, seen.declared.get(fact)) is None and None not in dimension.cell:
                values[fact] = read(old, fact, None, name)  # both policies make the same of silence
        return values

    def _beside(self, case: Case) -> str:
        """The first thing that `diff` leaves out without which both policies decide the request alike."""
        values = self._values(case.stated)
        sides = [(again, read_by(again.policy, values)) for again in (self._old, self._new)]
        gone: set[str] = set()
        for what in ("detection", "dates", "evidence", "money", "pin"):
            gone.add(what)
            before, after = (self._way(again, signals, case, gone) for again, signals in sides)
            if change(before, after) == "unchanged":
                return what
        return NONE

    def _way(self, again: Again, signals: Signals, case: Case, gone: set[str]) -> Way:
        """The way of the request where some things are taken away."""
        policy, facts = again.policy, again.facts(case.old, signals, case.facts)
        if "dates" in gone:
            facts = msgspec.structs.replace(facts, today=self._today, p95={})
        if "evidence" in gone:
            shown = supposed(policy, signals.workload, policy.lanes)
            facts = msgspec.structs.replace(facts, evidence=shown)
        if "money" in gone:
            policy = free(policy, cheapest(policy, signals.tokens), approved=False)
        return way(policy, decide(policy, Ask() if "pin" in gone else case.ask, signals, facts))
