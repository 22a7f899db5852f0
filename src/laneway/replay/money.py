"""money: what a recorded request cost, and between which bounds it would have cost under another policy.

Amounts are whole billionths of the policy's currency, so that sums agree however they are grouped.
"""

from __future__ import annotations

from typing import NamedTuple

from laneway.decide import DEFAULT_OUTPUT, affordable
from laneway.policy import Policy
from laneway.replay.recorded import Call
from laneway.signals import Ask, Signals
from laneway.way import Way

__all__ = ["BILLION", "Sum", "estimate", "repriced", "whole"]

BILLION = 1_000_000_000
_JUDGED = 512
"""The most output tokens of a judge's word."""


def whole(amount: float) -> int:
    """The amount in billionths."""
    return round(amount * BILLION)


class Sum:
    """How many requests, what they cost, and what they would cost: at least `low`, at most `high`.

    `unpriced` of them nobody can price, which had cost `unpriced_cost`: they are in `cost`, and not in the estimate.
    """

    __slots__ = ("cost", "high", "low", "requests", "unpriced", "unpriced_cost")

    def __init__(self) -> None:
        self.requests = self.cost = self.low = self.high = self.unpriced = self.unpriced_cost = 0

    def add(self, cost: int, bounds: tuple[int, int] | None) -> None:
        """Count one request."""
        self.requests += 1
        self.cost += cost
        if bounds is None:
            self.unpriced += 1
            self.unpriced_cost += cost
        else:
            self.low += bounds[0]
            self.high += bounds[1]

    def join(self, other: Sum) -> None:
        """Count what the other counted."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class _Answer(NamedTuple):
    """How long the request's answer was, in tokens; the input as its lane counted it."""

    tokens_in: int
    tokens_out: int


def estimate(
    policy: Policy, way: Way, ask: Ask, signals: Signals, tokens: int, calls: tuple[Call, ...]
) -> tuple[int, int] | None:
    """Between which amounts the request would have cost on another way; None where a price is unknown.

    At least: its first lane gives an answer as long as the recorded one. At most: that is weak, judged and redone once.
    A request that has no recorded answer costs its input at least, and the longest answer that it may have at most.
    What calls cost that fail is in neither.
    """
    if not way.lanes:
        return 0, 0
    answer = next((_Answer(c.tokens_in, c.tokens_out) for c in reversed(calls) if _answers(c)), None)  # type: ignore[arg-type]
    first = policy.lanes[way.first]
    output = affordable(first, ask, tokens, signals.ceiling)[0] or DEFAULT_OUTPUT
    least, most = (_Answer(tokens, 0), _Answer(tokens, output)) if answer is None else (answer, answer)
    low, high = first.cost(*least), first.cost(*most)
    redo = policy.lanes[way.redo[0]].cost(*most) if way.redo[0] else 0.0
    judge = policy.lanes[way.judge[0]].cost(sum(most), _JUDGED) if way.judge else 0.0
    if low is None or high is None or redo is None or judge is None:
        return None
    return whole(low), whole(high + redo + judge)


def _answers(call: Call) -> bool:
    return call.result == "answered" and call.why != "judge" and None not in (call.tokens_in, call.tokens_out)


def repriced(policy: Policy, calls: tuple[Call, ...]) -> int | None:
    """What the recorded calls cost at the policy's prices; None where one has no price, or no count of tokens."""
    total = 0
    for call in calls:
        lane = policy.lanes.get(call.lane)
        if call.tokens_in is not None and call.tokens_out is not None:
            cost = lane.cost(call.tokens_in, call.tokens_out) if lane else None
        else:
            cost = None if call.cost else 0.0
        if cost is None:
            return None
        total += whole(cost)
    return total
