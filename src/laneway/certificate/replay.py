"""replay: does the interpreter let a rule decide a request? The witnesses of a certificate, without any prover."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Literal

from laneway.decide import decide
from laneway.decision import Decision, Hold
from laneway.facts import Facts, supposed
from laneway.lane import Limits, Price, Zone
from laneway.policy import Gate, Grant, Policy, Ranking, Waiver
from laneway.signals import Ask, Signals

__all__ = ["Rules", "replayed"]

Rules = Literal["routes", "fallbacks", "reviews", "limits"]


def replayed(policy: Policy, rules: Rules, i: int, signals: Signals, today: datetime.date) -> bool:
    """Whether the i-th of these rules decides the request.

    As in the proof no price closes a lane, and what happens after an approval counts.
    """
    stated = getattr(policy, rules)
    if rules == "reviews":
        return _reviewed(policy, i, signals, today)
    lanes = {n: replace(x, price=x.price and Price(0, 0, 0)) for n, x in policy.lanes.items()}
    free = replace(policy, lanes=lanes, reviews=())
    if rules == "limits":
        waived, others = _waived(free, today), (*stated[:i], *stated[i + 1 :])
        closed = _closed(_decided(waived, signals, today))
        return bool(closed - _closed(_decided(replace(waived, limits=others), signals, today)))
    codes = ("fallback",) if rules == "fallbacks" else ("route", "no-lane")
    without, with_ = (
        _decided(replace(free, **{rules: stated[:n]}), signals, today)  # no earlier rule decides, and this one does
        for n in (i, i + 1)
    )
    return _cites(with_, stated[i].id, codes) and not _cites(without, stated[i].id, codes)


def _decided(policy: Policy, signals: Signals, today: datetime.date) -> Decision:
    evidence = supposed(policy, signals.workload, policy.lanes)
    return decide(policy, Ask(), signals, Facts(today=today, evidence=evidence))


def _cites(decision: Decision, rule: str, codes: tuple[str, ...]) -> bool:
    return any(reason.rule == rule and reason.code in codes for reason in decision.reasons)


def _closed(decision: Decision) -> set[str]:
    return {reason.lane for reason in decision.rejected if reason.code in ("wall", "wall-limit")}


def _waived(policy: Policy, today: datetime.date) -> Policy:
    waiver = Waiver(id="all", lanes=frozenset(policy.lanes), until=today, by="the proof")
    return replace(policy, gate=Gate(waivers=(waiver,)))


def _reviewed(policy: Policy, i: int, signals: Signals, today: datetime.date) -> bool:
    """Whether the review decides where every lane is open, so that nothing else stops the request."""
    lanes = {n: replace(x, price=Price(0, 0, 0), limits=Limits(), supports=None) for n, x in policy.lanes.items()}
    everywhere = Grant(id="all", classes=frozenset(policy.classes), zones=("all",))
    anything = Ranking(id="all", words=("cheapest",))
    open_ = replace(policy, lanes=lanes, zones={"all": Zone(name="all")}, grants=(everywhere,), limits=())
    bare = replace(_waived(open_, today), routes=(anything,), fallbacks=())

    def held(reviews: int) -> bool:
        return isinstance(_decided(replace(bare, reviews=policy.reviews[:reviews]), signals, today), Hold)

    last = policy.reviews[i]
    if last.release == "after-approval":
        return held(i + 1) and not held(i)
    return last.surely(signals) and not any(
        (review.surely if review.release == "now" else review.possibly)(signals) for review in policy.reviews[:i]
    )
