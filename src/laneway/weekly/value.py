"""value: a review as frozen values, as JSON has them. Pure."""

from __future__ import annotations

import datetime

import msgspec

__all__ = ["Advice", "LaneUse", "Log", "Money", "Review", "Row", "Slice", "Stale", "Took"]


class Row(msgspec.Struct, frozen=True):
    """One line of a table: what happened, how often, how often in the period before, and the newest examples.

    `before` and `change` are None where no period before is compared.
    """

    workload: str
    rule: str
    lane: str
    cause: str
    times: int
    before: int | None
    change: int | None
    example: str
    examples: tuple[str, ...]


class Took(msgspec.Struct, frozen=True):
    """What became of items of one kind that waited for a person, and how long that took, in seconds."""

    workload: str
    rule: str
    cause: str
    action: str
    times: int
    before: int | None
    median: float
    longest: float
    example: str


class Slice(msgspec.Struct, frozen=True):
    """A part of the period, for charts: when it begins, and counts; `cost` by currency is added up as it is."""

    start: datetime.datetime
    requests: int
    escalated: int
    rejected: int
    fallbacks: int
    cost: float


class LaneUse(msgspec.Struct, frozen=True):
    """How many answers clients were given by a lane, and what those requests cost."""

    lane: str
    answered: int
    before: int | None
    cost: float


class Log(msgspec.Struct, frozen=True):
    """What was read: up to which record; what is wrong with the chain, in words, and at how many places.

    `unread` records could not be read; `back` times the clock went backwards.
    """

    records: int = 0
    problem: str = ""
    broken: int = 0
    unread: int = 0
    back: int = 0


class Money(msgspec.Struct, frozen=True):
    """In one currency: all that was `spent`, `shadows` with it, and `before`.

    Of `compared` answered requests, which cost `cost`, the strongest lane would have cost `premium`, which is `saved`
    more; `left_out` answered requests are not compared.
    """

    currency: str
    spent: float
    shadows: float
    before: float | None
    compared: int
    left_out: int
    cost: float
    premium: float
    saved: float


class Stale(msgspec.Struct, frozen=True):
    """What counts no more, or soon will not: what it is about, in words, and what to do. `code` as `check` has it."""

    code: str
    about: str
    told: str
    remedy: str


class Advice(msgspec.Struct, frozen=True):
    """What to change, or why not to. `rule` says when this is said, with its thresholds.

    `diff` is the patch, where there is one: proved, its cases passed, and of `replayed` recorded requests `changed` are
    decided differently. `refused` says why there is none.
    """

    code: str
    about: str
    told: str
    rule: str
    diff: str = ""
    replayed: int = 0
    changed: int = 0
    tried: str = ""
    refused: str = ""


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """The whole. `ends` counts by status and code: a refusal and an outage differ there. Times are UTC.

    `policy` is the name of the policy in force, by which `stale` and `advice` were found.
    """

    since: str
    start: datetime.datetime
    until: datetime.datetime
    log: Log
    requests: int
    before: int | None
    statuses: dict[str, int]
    ends: dict[str, int]
    ends_before: dict[str, int] | None
    escalated: list[Row]
    rejected: list[Row]
    fallbacks: list[Row]
    held: list[Row]
    raised: list[Row]
    guarded: list[Row]
    other_models: list[Row]
    shut: list[Row]
    took: list[Took]
    waiting: int
    money: list[Money]
    lanes: list[LaneUse]
    slices: list[Slice]
    policy: str = ""
    stale: list[Stale] = []
    advice: list[Advice] = []
