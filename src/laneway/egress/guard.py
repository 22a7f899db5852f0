"""guard: the last check before bytes leave for a lane, written apart from planner and classification.

It trusts neither the Decision nor the Signals that led to it: it reads the class and the facts again from what the
client sent and from the text that is about to leave, and the wall again from the policy's rules, for this lane and
this day. Anything that it does not allow is a GuardError.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import lru_cache
from typing import cast

import msgspec

from laneway.addresses import on_this_machine
from laneway.classify import estimate_tokens
from laneway.classify.sensitivity import identifiers
from laneway.errors import GuardError
from laneway.lane import Lane
from laneway.policy import Policy, Workload
from laneway.request import Request
from laneway.signals import Latency, Signals

__all__ = ["guard"]

_NO_WORKLOAD = Workload(name="")


def guard(policy: Policy, request: Request, signals: Signals, lane: Lane, today: datetime.date) -> None:
    """Raise GuardError unless `request`, which was taken for what `signals` say, may go to `lane` today."""
    if policy.lanes.get(lane.name) is not lane:
        raise GuardError(f"lane {lane.name} is not a lane of the policy in force")
    if signals.sensitivity not in policy.classes:
        raise GuardError("the request's class is not one of the policy's")
    if not _anything(policy, lane.name, today):  # what nothing is shut out of needs no second look at the text
        _allow(policy, request, signals, lane, today)
    if lane.kind == "local" and not on_this_machine(lane.url):
        raise GuardError(f"lane {lane.name} is `local` but its address is not on this machine")


def _allow(policy: Policy, request: Request, signals: Signals, lane: Lane, today: datetime.date) -> None:
    workload = _workload(policy, request)
    found = max(_floors(policy, request, workload), key=policy.classes.index)
    if policy.classes.index(found) > policy.classes.index(signals.sensitivity):
        raise GuardError(f"the request was taken for {signals.sensitivity}, and is {found}")
    if not _granted(policy, signals.sensitivity, lane.name, today):
        raise GuardError(f"{signals.sensitivity} data may not use lane {lane.name}")
    seen = _facts(policy, request, signals, workload) if policy.limits else signals
    for limit in policy.limits:
        within = any(_within(policy, zone, lane.name, today) for zone in limit.zones)
        if not within and any(limit.when.holds(facts) is not False for facts in (seen, signals)):
            raise GuardError(f"{limit.id} closes lane {lane.name} to this request")


@lru_cache(256)
def _anything(policy: Policy, lane: str, today: datetime.date) -> bool:
    """Whether the lane may have every class, and no limit can close it."""
    limits = all(any(_within(policy, zone, lane, today) for zone in limit.zones) for limit in policy.limits)
    return limits and _granted(policy, policy.strictest, lane, today)


@lru_cache(1024)
def _granted(policy: Policy, data_class: str, lane: str, today: datetime.date) -> bool:
    """Whether the class and every lower one have a grant with a zone that holds the lane."""
    for name in policy.classes[: policy.classes.index(data_class) + 1]:
        zones = {zone for grant in policy.grants if name in grant.classes for zone in grant.zones}
        if not any(_within(policy, zone, lane, today) for zone in zones):
            return False
    return True


@lru_cache(4096)
def _within(policy: Policy, zone: str, lane: str, today: datetime.date) -> bool:
    return policy.zones[zone].lacks(policy.lanes[lane], today, policy.fresh_days) is None


def _workload(policy: Policy, request: Request) -> Workload | None:
    return policy.workloads.get(request.labels.get("workload", request.model))


def _floors(policy: Policy, request: Request, workload: Workload | None) -> Iterator[str]:
    """Every class that the request is at least of."""
    label = request.labels.get("sensitivity")
    floor = workload.sensitivity if workload else None
    if label is None and floor is None:
        yield policy.unlabelled.sensitivity
    if label is not None:
        yield label if label in policy.classes else policy.strictest
    if floor is not None:
        yield floor
    if request.unreadable:
        yield policy.detect.unreadable
    leaving = msgspec.json.encode(request.body).decode()  # not `canonical`, which is what was read and does not leave
    try:
        found = identifiers(leaving, request.body)
    except ValueError:  # it could not be read to its end
        yield policy.strictest
        return
    for _, kind in found:
        yield policy.detect.identifiers.get(kind) or policy.detect.identifiers.get("*", policy.strictest)


def _facts(policy: Policy, request: Request, signals: Signals, workload: Workload | None) -> Signals:
    """`signals` with what the client said and sent in their place; the difficulty, an estimate, is not made again."""
    labels, kind = request.labels, workload or _NO_WORKLOAD
    said = {name: labels.get(f"fact-{name.lower()}") for name in policy.facts}
    declared = {name: value if policy.facts[name].values else float(value) for name, value in said.items() if value}
    limit = policy.unlabelled.ceiling if kind.ceiling is None else kind.ceiling
    ceilings = [amount for amount in (limit, labels.get("ceiling")) if amount is not None]
    return Signals(
        sensitivity=signals.sensitivity,
        difficulty=signals.difficulty,
        stakes="high" if labels.get("stakes") == "high" else kind.stakes or policy.unlabelled.stakes,
        latency=cast(Latency | None, labels.get("latency")) or kind.latency or policy.unlabelled.latency,
        ceiling=min(map(float, ceilings), default=None),
        tokens=max(signals.tokens, estimate_tokens(request.canonical)),
        needs=(*signals.needs, *request.needs),
        workload=kind.name or None,
        team=labels.get("team"),
        region=labels.get("region"),
        declared=declared,
    )
