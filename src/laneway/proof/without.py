"""without: a policy and guarantees that fall, in; what is lost, who takes over and who is left with nothing, out.

A guarantee falls by becoming unknown, which satisfies no zone. Both policies are held against each other over one
request space, so that what is told is complete, not sampled.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from laneway.errors import UsageError, did_you_mean, shown
from laneway.lane import Lane
from laneway.policy import Policy
from laneway.proof.finding import Finding, Subject, Witness, kind
from laneway.proof.oracle import choose
from laneway.proof.space import Neg, Space, both
from laneway.proof.verify import verify
from laneway.regions import region

__all__ = ["GUARANTEES", "Loss", "Lost", "without"]

GUARANTEES = ("transfer", "dpa", "runs", "stores", "owner", "verified", "lane")
"""What can fall: `dpa` and `verified` for every lane, `transfer` with a basis or for all, the others with a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A lane that requests of a class may no longer use.

    `whole`: none of them may. `instead`: the lanes that they still may be sent to. `refused`: a request that no lane
    is left for.
    """

    lane: str
    data_class: str
    whole: bool
    instead: tuple[str, ...]
    refused: Witness | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The lanes that had a guarantee, what they lose, and the errors that the policy would have without it."""

    fallen: tuple[str, ...]
    lanes: tuple[str, ...]
    losses: tuple[Loss, ...]
    errors: tuple[Finding, ...]


def without(policy: Policy, fallen: tuple[str, ...], today: datetime.date, *, seconds: float = 60) -> Lost:
    """What is lost if the guarantees `fallen` no longer hold. Raises UsageError and NotProved."""
    changed, lanes = policy, dict[str, None]()
    for guarantee in fallen:
        has, lose = _falling(policy, guarantee)
        for name in (name for name, lane in policy.lanes.items() if has(lane)):
            changed, lanes[name] = lose(changed, name), None
    space = Space(policy, changed)
    oracle = choose(space, seconds)
    before, after = (Subject(each, today, space, oracle) for each in (policy, changed))
    known = set(map(kind, verify(policy, today, seconds=seconds).errors))
    errors = [error for error in verify(changed, today, seconds=seconds).errors if kind(error) not in known]
    losses = (loss for lane in lanes for loss in _losses(before, after, lane))
    return Lost(fallen=fallen, lanes=tuple(lanes), losses=tuple(losses), errors=tuple(errors))


_Has = Callable[[Lane], bool]
_Lose = Callable[[Policy, str], Policy]


def _falling(policy: Policy, guarantee: str) -> tuple[_Has, _Lose]:
    """Which lanes have a guarantee, and the policy in which one of them has it no more."""
    name, _, value = guarantee.partition("=")
    if name not in GUARANTEES or (bool(value) == (name in ("dpa", "verified")) and name != "transfer"):
        known = "transfer=DPF, dpa, runs=US, stores=US, owner=US, verified, lane=NAME"
        raise UsageError(f"--without {shown(guarantee)}: no such guarantee; there are {known}")
    if name == "lane":
        if value not in policy.lanes:
            raise UsageError(f"--without lane={shown(value)}: no such lane{did_you_mean(value, policy.lanes)}")
        return lambda lane: lane.name == value, _gone
    if name in ("runs", "stores", "owner"):
        places = region(value)
        if places is None:
            raise UsageError(f"--without {shown(guarantee)}: write an ISO country such as US, or a set such as EEA")
        return lambda lane: not places.isdisjoint(getattr(lane, name) or ()), _unknown(name)
    return lambda lane: (lane.transfer == value) if value else getattr(lane, name) is not None, _unknown(name)


def _unknown(fact: str) -> _Lose:
    nothing: dict[str, Any] = {fact: None}

    def lose(policy: Policy, name: str) -> Policy:
        return replace(policy, lanes=policy.lanes | {name: replace(policy.lanes[name], **nothing)})

    return lose


def _gone(policy: Policy, name: str) -> Policy:
    """A lane that is gone is one that nothing lets serve: rules and zones may still name it."""
    return replace(policy, gone=policy.gone | {name})


def _losses(before: Subject, after: Subject, lane: str) -> Iterator[Loss]:
    old, new = before.reach, after.reach
    for data_class in before.policy.classes:
        of_class = before.space.having("sensitivity", data_class)
        lost = both(of_class, old.open[lane], Neg(new.open[lane]))
        if before.empty(lost):
            continue
        yield Loss(
            lane=lane,
            data_class=data_class,
            whole=before.empty(of_class, new.open[lane]),
            instead=tuple(name for name in after.policy.strength if not after.empty(lost, new.reached[name])),
            refused=after.shown(lost, old.tried, Neg(new.tried)),
        )
