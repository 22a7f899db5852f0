"""seen: the requests that clients state, with the eyes of one policy; and whether one of them is in a set."""

from __future__ import annotations

from collections.abc import Callable

from laneway.policy import Policy
from laneway.proof.space import Cell, Formula, In, Neg, Or, Space, both, either
from laneway.proof.stated import READ, Value, read

__all__ = ["Seen", "holds"]


class Seen(Space):
    """A compared space with the eyes of one of its policies: a fact is what the policy makes of what is stated."""

    def __init__(self, space: Space, policy: Policy) -> None:
        self.policies, self.compared, self._policy = space.policies, space.compared, policy
        self.dimensions, self.index, self._atoms = space.dimensions, space.index, space._atoms
        self._formulas, self._kept = {}, []
        self._read: dict[tuple[int, tuple[tuple[int, int], ...]], Formula] = {}

    def cell_in(self, fact: str, wanted: Callable[[Value], bool]) -> Formula:
        """The requests whose `fact` the policy reads as a wanted value."""
        i, at = self.index[fact], self.index["workload"]
        if fact not in READ:
            return super().cell_in(fact, lambda value: wanted(read(self._policy, fact, value, None)))
        workloads: dict[int, int] = {}
        for w, name in enumerate(self.dimensions[at].values):
            values = [read(self._policy, fact, v, name) for v in self.dimensions[i].values]
            mask = sum(1 << k for k, value in enumerate(values) if wanted(value))
            workloads[mask] = workloads.get(mask, 0) | 1 << w
        key = i, tuple(workloads.items())
        if key not in self._read:
            self._read[key] = either(both(self._atom(at, w), self._atom(i, mask)) for mask, w in workloads.items())
        return self._read[key]


def holds(formula: Formula, cell: Cell, known: dict[int, bool]) -> bool:
    """Whether the request is in the set; `known` keeps, for this cell, what was asked of shared parts."""
    answer = known.get(id(formula))
    if answer is None:
        if isinstance(formula, In):
            answer = bool(formula.cells >> cell[formula.fact] & 1)
        elif isinstance(formula, Neg):
            answer = not holds(formula.part, cell, known)
        else:
            decisive = isinstance(formula, Or)
            answer = not decisive
            for part in formula.parts:  # a loop, as a generator would make deep formulas twice as deep
                if holds(part, cell, known) is decisive:
                    answer = decisive
                    break
        known[id(formula)] = answer
    return answer
