"""wall: which lanes each class of data may use on a day, with a reason for every lane.

The wall is a positive table, read cumulatively: a class may use what it and every less sensitive class may
use, so that raising the class never adds a lane. Pure; `egress` reads the policy's rules again on its own.
"""

from __future__ import annotations

import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from laneway.decision import Reason
from laneway.lane import Lane
from laneway.policy import Grant, Policy

__all__ = ["Wall", "unlisted", "walled"]


class Wall(NamedTuple):
    """One class's half of the wall on one day: a reason for every lane, admitted or not."""

    admitted: dict[str, Reason]
    rejected: dict[str, Reason]


@lru_cache(maxsize=64)
def walled(policy: Policy, today: datetime.date) -> dict[str, Wall]:
    """The wall's table by class, as it stands on `today`."""
    table: dict[str, Wall] = {}
    below: Wall | None = None
    for data_class in policy.classes:
        below = table[data_class] = _row(policy, data_class, below, today)
    for lane in policy.lanes:
        sides = [row.admitted if lane in row.admitted else row.rejected for row in table.values()]
        if len({(side[lane].code, side[lane].rule) for side in sides}) == 1:
            for side in sides:  # the same for every class: the request's class is not why
                side[lane] = msgspec.structs.replace(side[lane], signal="")
    return table


def _row(policy: Policy, data_class: str, below: Wall | None, today: datetime.date) -> Wall:
    admitted: dict[str, Reason] = {}
    rejected: dict[str, Reason] = {}
    signal = f"sensitivity={data_class}"
    grants = [grant for grant in policy.grants if data_class in grant.classes]
    for lane in policy.lanes.values():
        grant, zone, lacks = _granting(policy, grants, lane, today)
        if zone is None:
            rule, says = (grant.id, grant.says) if grant else ("wall", "")
            effect = f"{data_class} data may not use {lane.name}: {lacks}"
            rejected[lane.name] = Reason("wall", rule, signal, effect, says, lane.name)
        elif below is not None and lane.name in below.rejected:
            lower = below.rejected[lane.name]
            rejected[lane.name] = Reason("wall", lower.rule, signal, lower.effect, lower.says, lane.name)
        else:
            assert grant is not None
            effect = f"{data_class} data may use {lane.name}, which is in `{zone}`"
            admitted[lane.name] = Reason("wall-open", grant.id, signal, effect, grant.says, lane.name)
    return Wall(admitted, rejected)


def _granting(
    policy: Policy, grants: list[Grant], lane: Lane, today: datetime.date
) -> tuple[Grant | None, str | None, str]:
    """The grant and zone that admit `lane`; else the first grant, None, and what the lane lacks."""
    lacks = []
    for grant in grants:
        for zone in grant.zones:
            missing = policy.zones[zone].lacks(lane, today, policy.fresh_days)
            if missing is None:
                return grant, zone, ""
            lacks.append(f"not in `{zone}`, as {missing}")
    first = grants[0] if grants else None
    return (
        first,
        None,
        "; ".join(lacks) or ("no zone is open to it" if first else "the wall does not list it"),
    )


def unlisted(policy: Policy, data_class: str) -> Wall:
    """The row of a class that the policy does not have: every lane is shut."""
    effect = f"no such class `{data_class}`"
    return Wall({}, {n: Reason("wall", "wall", f"sensitivity={data_class}", effect, "", n) for n in policy.lanes})
