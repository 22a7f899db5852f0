"""lanes: whether the data justifies another lane, by a rule that is said with its numbers. Pure."""

from __future__ import annotations

import datetime
from collections import Counter

from laneway.explain import money
from laneway.policy import Policy
from laneway.wall import walled
from laneway.weekly.tally import Tally
from laneway.weekly.value import Advice, Review

__all__ = ["another"]

_REQUESTS, _SAVED, _REFUSED, _SHARE = 300, 0.10, 30, 0.01
_PRICE = 0.5
_DOWN = ("lanes_failed", "held_after_failure")
_ORDINALS = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}
_RULE = (
    f"another lane is justified where the strongest lane answered {_REQUESTS} requests or more, and one at "
    f"{_PRICE:.0%} of its price that answered all of them would have saved {_SAVED:.0%} or more of the money spent; or "
    f"where {_REFUSED} requests or more, and {_SHARE:.0%} of all, were refused because the one lane that they may use "
    "was down. It is the most that a lane could do: only its evidence says which of them it answers well"
)  # fmt: skip


def another(now: Tally, review: Review, policy: Policy) -> Advice:
    """Whether a lane more would pay."""
    top = policy.strength[-1]
    price = policy.lanes[top].price
    taken, full = Counter[str](), 0.0
    for ending, found in now.ended.items():
        if ending.status == "answered" and ending.lane == top:
            taken[ending.kind.workload] += found.times
            full += price.cost(found.tokens_in, found.tokens_out) if price else 0.0
    saved = full * (1 - _PRICE)
    spent = sum(sheet.spent for sheet in review.money if sheet.currency == policy.currency)
    down = _down(now, policy, review.until.date())
    pays = taken.total() >= _REQUESTS and spent > 0 and saved >= _SAVED * spent
    missed = down >= _REFUSED and down >= _SHARE * review.requests
    if pays and (between := _between(policy)):
        told = (f"{between} already stands below {top} at {_PRICE:.0%} of its price or less; see why {top} answered "
                f"{taken.total()} requests before adding a lane")  # fmt: skip
        return Advice("another-lane-not-yet", "lanes", told, _RULE, refused=_BY_PEOPLE)
    nth = _ORDINALS.get(len(policy.lanes) + 1, "further")
    most = money(saved, policy.currency)
    could = f"a {nth} lane would have taken {taken.total()} requests at most and saved {most} at most"
    kept = f"{down} requests were refused while the one lane that they may use was down"
    if pays or missed:
        whose = ", ".join(f"{name} {times}" for name, times in taken.most_common(3))
        told = "; ".join([f"{could}, of {money(spent, policy.currency)} spent ({whose})"] * pays + [kept] * missed)
        return Advice("another-lane", "lanes", told, _RULE, refused=_BY_PEOPLE)
    told = f"the data does not yet justify another lane: {could}, of {money(spent, policy.currency)} spent; {kept}"
    return Advice("another-lane-not-yet", "lanes", told, _RULE)


_BY_PEOPLE = "where a lane runs, under which contract and at what price is for people to state"


def _between(policy: Policy) -> str | None:
    """A lane of others that is weaker than the strongest and costs at most half."""
    top = policy.lanes[policy.strength[-1]].price
    for name in policy.strength[:-1]:
        price = policy.lanes[name].price
        if top and price and 0 < price.input + price.output <= _PRICE * (top.input + top.output):
            return name
    return None


def _down(now: Tally, policy: Policy, day: datetime.date) -> int:
    """How many requests ended without an answer because nothing else was left to their class."""
    wall = walled(policy, day)
    single = {name for name, row in wall.items() if len(row.admitted) == 1}
    return sum(found.times for ending, found in now.ended.items()
               if ending.code in _DOWN and ending.kind.sensitivity in single)  # fmt: skip
