"""admission: whether a lane may serve a workload at all: on evidence that meets the bar, or on a dated waiver. Pure.

And whether it can serve the request, and whether anybody may, as operators can stop everything and pause a workload.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from laneway.decision import Reason
from laneway.facts import Facts, Shown
from laneway.lane import Lane, plain
from laneway.policy import Policy, Waiver
from laneway.signals import Signals

__all__ = ["admitted", "halted", "incapable"]


def admitted(policy: Policy, lane: str, workload: str | None, shown: Shown | None, today: datetime.date) -> Reason:
    """Why the lane may serve (`evidence-met`, `waived`), or may not (`no-evidence`)."""
    if shown is not None and shown.meets(policy.gate.bar):
        return Reason("evidence-met", "gate.evidence", "", _told(policy, shown), "", lane)
    waivers = list(_waivers(policy, lane, workload))
    for waiver in waivers:
        if today <= waiver.until and lane not in policy.gone:
            so_far = f"; {_lacking(policy, lane, workload, shown)}" if shown else ""
            effect = f"{lane} serves without evidence until {waiver.until}, waived by {waiver.by}{so_far}"
            return Reason("waived", waiver.id, "", effect, waiver.says, lane)
    waived = f"its waiver ended on {max(w.until for w in waivers)}" if waivers else "nobody has waived it"
    return Reason(
        "no-evidence", "gate.evidence", "", f"{_lacking(policy, lane, workload, shown)}, and {waived}", "", lane
    )


def halted(workload: str | None, facts: Facts, lanes: Iterable[str]) -> tuple[Reason, ...]:
    """Why nobody serves the workload now, and each of `lanes` neither; empty where nobody stopped or paused it."""
    if facts.stopped:
        return tuple(Reason("stopped", "levers", "", facts.stopped, "", lane) for lane in ("", *lanes))
    if workload is not None and workload in facts.paused:
        signal, effect = f"workload={workload}", facts.paused[workload]
        return tuple(Reason("paused", "levers", signal, effect, "", lane) for lane in ("", *lanes))
    return ()


def incapable(lane: Lane, signals: Signals) -> Reason | None:
    """Why the lane cannot serve such a request, whoever may."""
    if lane.supports is not None:
        for need in signals.needs:
            if need not in lane.supports:
                effect = f"{lane.name} does not support {need}"
                return Reason("needs", f"lanes.{lane.name}", f"needs={need}", effect, "", lane.name)
    if lane.limits.context is not None and signals.tokens > lane.limits.context:
        effect = f"about {signals.tokens} input tokens do not fit {lane.name}'s {lane.limits.context}"
        return Reason("context", f"lanes.{lane.name}", f"tokens={signals.tokens}", effect, "", lane.name)
    return None


def _waivers(policy: Policy, lane: str, workload: str | None) -> Iterator[Waiver]:
    """The waivers of the lane for the workload, whether in force or not."""
    for waiver in policy.gate.waivers:
        if lane in waiver.lanes and (waiver.workloads is None or workload in waiver.workloads):
            yield waiver


def _lacking(policy: Policy, lane: str, workload: str | None, shown: Shown | None) -> str:
    """What the lane's evidence lacks."""
    if workload is None:
        return f"{lane} has no evidence, as only work of a named workload is measured"
    if shown is None:
        return f"{lane} has shown no evidence for this workload"
    if shown.missing:
        return f"{lane} has no evidence that counts: {shown.missing}"
    return f"{_told(policy, shown)}: that is too little"


def _told(policy: Policy, shown: Shown) -> str:
    """What a lane has shown, beside the bar."""
    if shown.on is None:
        return f"{shown.lane} is supposed to have shown enough"
    bar = policy.gate.bar
    against = f"; the bar is {plain(bar.score)} at {bar.confidence:.0%}" if bar else ""
    # Rounded down: nothing is said to be better than it was shown to be.
    least = plain(int(shown.lower * 1000) / 1000)
    people = f", and people rejected {shown.rejected} of {shown.answers} answers since" if shown.rejected else ""
    return (
        f"{shown.lane} has shown {least} or more at {shown.confidence:.0%} confidence, on {shown.samples} samples on "
        f"{shown.on}{people}{against}"
    )
