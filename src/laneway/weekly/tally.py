"""tally: the counts of one slice of time, which add up to those of a longer one. Pure.

Requests are counted by what they have in common (`Kind`), so that what is common costs one addition; what is out of the
ordinary is counted by table, workload, rule, lane and cause, with the newest examples.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

__all__ = ["EXAMPLES", "Ending", "Event", "Kind", "Seen", "Sum", "Tally"]

EXAMPLES = 3
"""How many ids a row shows, the newest first."""


class Kind(msgspec.Struct, frozen=True, array_like=True, cache_hash=True):
    """Requests decided alike: under which policy, for what, by which rules."""

    policy: str
    workload: str
    sensitivity: str
    rule: str
    fallback: str
    rules: tuple[str, ...]


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """How requests of a kind ended. `lane` is the one that answered, or empty."""

    kind: Kind
    status: str
    code: str
    lane: str


class Event(NamedTuple):
    """One row of a table."""

    table: str
    workload: str
    rule: str
    lane: str
    cause: str


class Sum(msgspec.Struct, array_like=True):
    """So many requests and the money they cost; `counted` of them have the answer's tokens on record."""

    times: int = 0
    cost: float = 0.0
    counted: int = 0
    counted_cost: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0

    def add(self, other: Sum) -> None:
        """Those as well."""
        self.times += other.times
        self.cost += other.cost
        self.counted += other.counted
        self.counted_cost += other.counted_cost
        self.tokens_in += other.tokens_in
        self.tokens_out += other.tokens_out


class Seen(msgspec.Struct, array_like=True):
    """How often, with the newest ids first; and of what takes its time, how many seconds each.

    `unsaid` are ids of which an earlier slice of the log said so, and of which it is said no more.
    """

    times: int = 0
    examples: list[str] = []
    seconds: list[float] = []
    unsaid: list[str] = []


class Tally(msgspec.Struct):
    """The counts of a slice: requests by kind, ends, and what is out of the ordinary. `shadows` is money."""

    kinds: dict[Kind, int] = {}
    ended: dict[Ending, Sum] = {}
    events: dict[Event, Seen] = {}
    shadows: float = 0.0

    def event(self, event: Event, id: str, seconds: float | None = None) -> None:
        """It happened, to the request `id`."""
        seen = self.events.get(event)
        if seen is None:
            seen = self.events[event] = Seen()
        seen.times += 1
        seen.examples = [id, *(other for other in seen.examples if other != id)][:EXAMPLES]
        if seconds is not None:
            seen.seconds.append(seconds)

    def unsay(self, event: Event, id: str) -> None:
        """What was said of the request `id` is said no more."""
        seen = self.events.setdefault(event, Seen())
        seen.times -= 1
        seen.examples = [other for other in seen.examples if other != id]
        seen.unsaid.append(id)

    def add(self, later: Tally) -> None:
        """The counts of later records as well."""
        for kind, times in later.kinds.items():
            self.kinds[kind] = self.kinds.get(kind, 0) + times
        for ending, found in later.ended.items():
            self.ended.setdefault(ending, Sum()).add(found)
        for event, seen in later.events.items():
            mine = self.events.setdefault(event, Seen())
            mine.times += seen.times
            kept = (id for id in mine.examples if id not in seen.unsaid)
            mine.examples = list(dict.fromkeys((*seen.examples, *kept)))[:EXAMPLES]
            mine.seconds = mine.seconds + seen.seconds
            mine.unsaid = mine.unsaid + seen.unsaid
        self.shadows += later.shadows
