"""again: one policy's word on recorded requests, and what it makes of the facts of their time.

What does not depend on a request's length is worked out once: a way changes only at the lengths that rules and limits
name, where another lane becomes cheapest, and where a ceiling can no longer pay for a lane.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import msgspec

from laneway.decide import affordable, decide
from laneway.decision import Decision
from laneway.facts import Facts, Shown
from laneway.policy import Policy
from laneway.replay.restated import Stated, read_anew
from laneway.signals import Ask, Signals
from laneway.way import Way, way

__all__ = ["Again", "Ledger", "Made", "nothing"]

Ledger = Callable[[Signals, date], tuple[Shown, ...]]
"""What lanes have shown by the ledger beside a policy, for such requests on a day."""

_MOST_TOKENS = 10**12


def nothing(_: Signals, __: date) -> tuple[Shown, ...]:
    """The ledger where there is none."""
    return ()


class Made(NamedTuple):
    """What a policy decides of a recorded request. Nothing where it would be an error, or where nobody can know.

    `shown` is the evidence that was used. `unknown` says what the policy does not know of the request's names, `unread`
    which signal the record lacks.
    """

    way: Way | None
    decision: Decision | None = None
    signals: Signals | None = None
    shown: tuple[Shown, ...] = ()
    unknown: str = ""
    unread: str = ""


class Again:
    """A policy over recorded requests. `ledger` says what lanes have shown that the record does not speak of."""

    def __init__(self, policy: Policy, ledger: Ledger = nothing) -> None:
        self.policy, self.ledger = policy, ledger
        self._turns = lru_cache(4096)(self._turns_of)

    def turns(self, stated: Stated, ask: Ask) -> tuple[int, ...]:
        """The lengths from which on the request's ceiling cannot pay for some lane."""
        read = read_anew(self.policy, stated)
        return self._turns(read.signals[0].ceiling if read.signals else None, ask)

    def _turns_of(self, ceiling: float | None, ask: Ask) -> tuple[int, ...]:
        def shut(lane: str) -> int:
            at = self.policy.lanes[lane]
            return bisect_left(range(_MOST_TOKENS), True, key=lambda n: affordable(at, ask, n, ceiling)[1] is not None)

        return () if ceiling is None else tuple(sorted({shut(lane) for lane in self.policy.lanes}))

    def made(self, old: Policy, stated: Stated, ask: Ask, facts: Facts) -> Made:
        """The policy's word on a request that was recorded under `old`."""
        read = read_anew(self.policy, stated)
        if read.unknown:
            return Made(None, unknown=read.unknown)
        found = [self._decided(old, ask, signals, facts) for signals in read.signals]
        if len({made.way for made in found}) > 1:
            return Made(None, unread="difficulty")
        return found[0]

    def _decided(self, old: Policy, ask: Ask, signals: Signals, facts: Facts) -> Made:
        facts = self.facts(old, signals, facts)
        decision = decide(self.policy, ask, signals, facts)
        return Made(way(self.policy, decision), decision, signals, facts.evidence)

    def facts(self, old: Policy, signals: Signals, facts: Facts) -> Facts:
        """The facts that were recorded under `old`, with the evidence that counts under this policy."""
        if old.hash == self.policy.hash:
            return facts
        return msgspec.structs.replace(facts, evidence=tuple(self._shown(old, signals, facts)))

    def _shown(self, old: Policy, signals: Signals, facts: Facts) -> Iterator[Shown]:
        """What was recorded of lanes that are the same for work that is the same; else what the ledger says of them."""
        workload, policy = signals.workload, self.policy
        if workload is None or workload not in policy.measured:
            return
        was, now = old.workloads.get(workload), policy.workloads[workload]
        same_work = was is not None and workload in old.measured and (was.evals, was.prompt) == (now.evals, now.prompt)
        recorded = {one.lane: one for one in facts.evidence}
        ledger = {one.lane: one for one in self.ledger(signals, facts.today)}
        for name, lane in policy.lanes.items():
            before = old.lanes.get(name)
            same = same_work and before is not None and (before.model, before.url) == (lane.model, lane.url)
            one = (recorded if same else ledger).get(name)
            if one is not None:
                yield _fresh(one, facts.today, policy.fresh_days)


def _fresh(shown: Shown, today: date, days: int) -> Shown:
    """The evidence, or that it is too old for a policy that lets it count for so many days."""
    if shown.on is None or today <= shown.on + timedelta(days=days):
        return shown
    return Shown(shown.lane, f"it was measured on {shown.on}, and evidence counts for {days} days")
