"""kind: what is said of requests that are decided alike: what changes for them, why, and at what risk."""

from __future__ import annotations

from typing import Literal, NamedTuple

from laneway.decision import Route
from laneway.lane import plain
from laneway.policy import Policy
from laneway.replay.again import Made
from laneway.signals import Signals
from laneway.way import CHANGES, Change, Way, change

__all__ = ["ENDS", "NOBODY_KNOWS", "Before", "End", "Kind", "kind_of"]

End = Change | Literal["newly an error", "unknown"]
ENDS: tuple[End, ...] = (*CHANGES, "newly an error", "unknown")
"""Besides what a decision can change: the new policy does not know a name in it; the record lacks what it reads."""


class Kind(NamedTuple):
    """What requests have in common that are decided alike under both policies; every total is over such kinds.

    `before` and `after` are the lane that is tried first, "after approval" where a person must release what it says; or
    "held", "refused", "an error", "unknown". `opened` are the lanes of others that the request may newly reach.
    `unproven` says what is missing to call the lane that is first now as good as the one before. `left` are lanes that
    want of evidence shuts: new ones, those reached before, and all where none is left. `waived`: a lane served without
    evidence, before and after; `elsewhere`: its lane of the same name is another place or model now. `missing` is the
    name that the policy does not know, or the signal that the record lacks. `currency` is set where the money was
    another. `label` is the class of `diff` that the request belongs to, where somebody asked.
    """

    end: End
    data_class: str
    read_as: str
    workload: str
    before: str
    after: str
    rule: str = ""
    reason: str = ""
    opened: tuple[str, ...] = ()
    unproven: str = ""
    left: tuple[str, ...] = ()
    waived: tuple[bool, bool] = (False, False)
    elsewhere: bool = False
    missing: str = ""
    currency: str = ""
    label: str = ""

    @property
    def changed(self) -> bool:
        """Whether the new policy is known to decide otherwise."""
        return self.end not in ("unchanged", "unknown")


class Before(NamedTuple):
    """What a request is compared with: a policy and the way of its decision; `waived`: it served without evidence."""

    policy: Policy
    way: Way
    waived: bool


NOBODY_KNOWS = Kind("unknown", "", "", "", "unknown", "unknown", missing="what the older policy makes of it")


def kind_of(policy: Policy, recorded: Signals, before: Before, made: Made) -> Kind:
    """The kind of a request with these recorded signals, of which the policy decides what was `made`."""
    was = _label(before.way)
    asked = recorded.sensitivity, "", recorded.workload or "", was
    if made.unknown:
        reason = f"the policy does not know {made.unknown}, so that the request would be an error"
        return Kind(
            "newly an error", *asked, "an error", "", reason, missing=made.unknown, waived=(before.waived, False)
        )
    if made.way is None or made.decision is None or made.signals is None:
        return Kind("unknown", *asked, "unknown", missing=made.unread, waived=(before.waived, False))
    end, decision, now = change(before.way, made.way), made.decision, made.way
    shut = [r for r in decision.rejected if r.lane == before.way.first and r.code != "not-in-plan"]
    why = shut[0] if shut and isinstance(decision, Route) else decision.reasons[0]
    waived = isinstance(decision, Route) and decision.evidence == "waived"
    moves = now.first not in ("", before.way.first)
    unshown = (r.lane for r in decision.rejected if r.code == "no-evidence")
    left = tuple(lane for lane in unshown if not now.lanes or _missed(lane, before))
    return Kind(
        end, recorded.sensitivity, made.signals.sensitivity, recorded.workload or "", was, _label(now),
        rule=why.rule, reason=why.effect, opened=tuple(_opened(before, policy, now)),
        unproven=_unproven(policy, made) if moves and waived else "",
        left=left, waived=(before.waived, waived),
        elsewhere=end == "unchanged" and _elsewhere(before, policy),
    )  # fmt: skip


def _label(way: Way) -> str:
    return way.end if not way.lanes else f"{way.first} after approval" if way.approved else way.first


def _missed(lane: str, before: Before) -> bool:
    """Whether the request could reach the lane before, or the lane is new."""
    return lane in before.way.reached or lane not in before.policy.lanes


def _opened(before: Before, new: Policy, now: Way) -> list[str]:
    """The lanes of others that see the request now, or may, and could not before."""
    old = before.policy.lanes
    own_before = {name for name in before.way.reached if name not in old or old[name].own}
    fresh = now.reached - (before.way.reached - own_before)
    return sorted(name for name in fresh if not new.lanes[name].own)


def _elsewhere(before: Before, new: Policy) -> bool:
    """Whether the lane that comes first is another place, or another model, under its old name."""
    was, now = before.policy.lanes.get(before.way.first), new.lanes.get(before.way.first)
    facts = ("kind", "url", "model", "runs", "stores", "owner")
    return was is not None and now is not None and any(getattr(was, f) != getattr(now, f) for f in facts)


def _unproven(policy: Policy, made: Made) -> str:
    """Why nobody can say how good the first lane's answers to such requests are."""
    assert made.way is not None and made.signals is not None
    workload, bar = made.signals.workload, policy.gate.bar
    if bar is None:
        return "the policy states no bar"
    if workload is None:
        return "work without a workload is not measured"
    if workload not in policy.measured:
        return "the workload has no evaluation set"
    shown = next((one for one in made.shown if one.lane == made.way.first), None)
    if shown is None:
        return "it has shown nothing there"
    if shown.missing:
        return shown.missing
    return f"it has shown {plain(round(shown.lower, 3))}, and the bar is {plain(bar.score)}"
