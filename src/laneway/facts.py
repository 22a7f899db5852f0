"""Facts: what else was true at the moment of a decision, frozen and recorded by value.

A fact never recorded is unknown. `decide` reads the clock only from here.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import msgspec

from laneway.policy import Bar, Policy

__all__ = ["Facts", "Shown", "down", "supposed"]


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `lane` has shown on the request's workload, in its language: `samples` scores, on a day.

    Their mean is `lower` (0..1) or more, at `confidence`; less where people `rejected` many of its `answers` since.
    `missing` says why nothing that it has shown counts.
    """

    lane: str
    missing: str = ""
    lower: float = 0.0
    confidence: float = 0.0
    samples: int = 0
    on: datetime.date | None = None
    answers: int = 0
    rejected: int = 0

    def meets(self, bar: Bar | None) -> bool:
        """Whether this is enough for the bar; where there is none, nothing is."""
        good = bar is not None and self.lower >= bar.score and self.confidence >= bar.confidence
        return good and not self.missing


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """A snapshot: `today` (UTC), lanes that are `closed` with the reason, measured p95 seconds by lane.

    `evidence` is what lanes have shown on the request's workload; a lane that is not in it has shown nothing.
    `reviewers`: there is somebody who can release what needs approval.
    `paused` are workloads that operators let nobody serve, with the reason; `stopped` says why nothing is served.
    """

    today: datetime.date
    closed: dict[str, str] = {}
    p95: dict[str, float] = {}
    evidence: tuple[Shown, ...] = ()
    reviewers: bool = False
    paused: dict[str, str] = {}
    stopped: str = ""


def supposed(policy: Policy, workload: str | None, lanes: Iterable[str]) -> tuple[Shown, ...]:
    """What is to be taken for the evidence of `lanes` where it is supposed to be enough; none for work without sets."""
    if policy.gate.bar is None or workload not in policy.measured:
        return ()
    bar = policy.gate.bar
    return tuple(Shown(lane, "", 1.0, bar.confidence) for lane in lanes if lane not in policy.gone)


def down(lanes: Iterable[str]) -> dict[str, str]:
    """Lanes that are out, as `closed` says it."""
    return {lane: f"{lane} is down" for lane in lanes}
