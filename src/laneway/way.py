"""way: all that counts of a decision, and how two of them differ.

Two decisions with the same way try the same lanes in the same order, redo and judge weak answers alike, and end alike.
What a request costs, and which rule led to it, is no part of its way.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from laneway.decision import Decision, Hold, Refuse
from laneway.gate import escalation
from laneway.policy import Policy

__all__ = ["CHANGES", "Change", "Way", "change", "way"]

Change = Literal["unchanged", "other lane", "newly held", "newly refused", "newly served", "otherwise"]
CHANGES: tuple[Change, ...] = ("unchanged", "other lane", "newly held", "newly refused", "newly served", "otherwise")
"""`otherwise`: the same lane comes first, or still none does, and what follows it is different."""


class Way(NamedTuple):
    """What happens to a request: it is served by `lanes`, in this order, or held, or refused.

    `redo` names for each of the lanes the one that redoes its weak answer after those before it failed. `approved`:
    a person must approve the answer. `unseen` are the lanes that may answer unseen, or compare such answers.
    """

    end: Literal["served", "held", "refused"]
    approved: bool = False
    lanes: tuple[str, ...] = ()
    redo: tuple[str | None, ...] = ()
    judge: tuple[str, ...] = ()
    on_failure: str = ""
    on_weak: str | None = None
    hedge: float | None = None
    unseen: frozenset[str] = frozenset()

    @property
    def first(self) -> str:
        """The lane that is tried first; empty where none is."""
        return self.lanes[0] if self.lanes else ""

    @property
    def reached(self) -> frozenset[str]:
        """Every lane that the request's text may reach."""
        return frozenset((*self.lanes, *(name for name in self.redo if name), *self.judge)) | self.unseen


def way(policy: Policy, made: Decision, *, approved: bool = False) -> Way:
    """The way of a decision of the policy; `approved`: a person must approve, whatever it says of that itself."""
    if isinstance(made, Refuse):
        return Way("refused", approved)
    if isinstance(made, Hold):
        return Way("held", approved or made.release == "after-approval")
    approved = approved or made.release == "after-approval"
    redo = tuple(escalation(policy, made, lane, made.lanes[: i + 1]) for i, lane in enumerate(made.lanes))
    unseen = frozenset(name for each in made.shadow for name in (*each.lanes, *each.judge))
    end: Literal["served", "held"] = "held" if approved else "served"
    return Way(end, approved, made.lanes, redo, made.judge, made.on_failure, made.on_weak, made.hedge, unseen)


def change(old: Way, new: Way) -> Change:
    """How the new way differs from the old."""
    if old == new:
        return "unchanged"
    if old.end != new.end:
        return {"served": "newly served", "held": "newly held", "refused": "newly refused"}[new.end]  # type: ignore[return-value]
    return "other lane" if old.first != new.first else "otherwise"
