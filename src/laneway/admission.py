"""admission: whether a lane may serve a workload at all: on evidence that meets the bar, or on a dated waiver. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from laneway.decision import Reason
from laneway.facts import Shown
from laneway.lane import plain
from laneway.policy import Policy, Waiver

__all__ = ["admitted"]


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
