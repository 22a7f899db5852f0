"""egress: the last check before bytes leave for a lane, written apart from the planner.

It does not trust the Decision: it reads the wall again from the policy's rules, for this class, this lane
and this day, and looks at the lane's address. Anything that it does not allow is a GuardError.
"""

from __future__ import annotations

import datetime

from laneway.addresses import on_this_machine
from laneway.condition import fact_of
from laneway.errors import GuardError
from laneway.lane import Lane
from laneway.policy import Policy
from laneway.signals import Signals

__all__ = ["guard"]


def guard(policy: Policy, signals: Signals, lane: Lane, today: datetime.date) -> None:
    """Raise GuardError unless `signals.sensitivity` may use `lane` today."""
    if policy.lanes.get(lane.name) is not lane:
        raise GuardError(f"lane {lane.name} is not a lane of the policy in force")
    if fact_of(signals, "sensitivity") not in policy.classes:
        raise GuardError("the request's class is not one of the policy's")
    reach = policy.classes.index(signals.sensitivity) + 1
    for data_class in policy.classes[:reach]:
        zones = {zone for grant in policy.grants if data_class in grant.classes for zone in grant.zones}
        if not any(_within(policy, zone, lane, today) for zone in zones):
            raise GuardError(f"{signals.sensitivity} data may not use lane {lane.name}")
    for limit in policy.limits:
        within = any(_within(policy, zone, lane, today) for zone in limit.zones)
        if not within and limit.when.holds(signals) is not False:
            raise GuardError(f"{limit.id} closes lane {lane.name} to this request")
    if lane.kind == "local" and not on_this_machine(lane.url):
        raise GuardError(f"lane {lane.name} is `local` but its address is not on this machine")


def _within(policy: Policy, zone: str, lane: Lane, today: datetime.date) -> bool:
    return policy.zones[zone].lacks(lane, today, policy.fresh_days) is None
