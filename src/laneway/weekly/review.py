"""review: the counts of a period, and of the one before, as the answers to the review's questions. Pure.

Which tasks escalated? Which cheap answers were rejected, by the gate, by reviewers or by users? Which fallbacks fired?
And what that cost, how long people took, what detection raised, and whose answers were another model's.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Mapping

from laneway.policy import Policy
from laneway.quantile import quantile
from laneway.weekly.frame import Frame
from laneway.weekly.money import money
from laneway.weekly.tally import EXAMPLES, Event, Seen, Sum, Tally
from laneway.weekly.value import LaneUse, Log, Review, Row, Slice, Took

__all__ = ["review", "whole"]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def whole(tallies: Mapping[int, Tally], *, before: bool = False) -> Tally:
    """The counts of the period, or of the one before it, added up."""
    made = Tally()
    for index in sorted(tallies):
        if (index < 0) == before:
            made.add(tallies[index])
    return made


def review(
    tallies: Mapping[int, Tally], frame: Frame, log: Log, since: str, policy: Callable[[str], Policy | None]
) -> Review:
    """The review of what was counted in a frame. `policy` finds a policy by its hash, None where it cannot be read."""
    now, was = whole(tallies), whole(tallies, before=True) if frame.compared else None

    def rows(table: str) -> list[Row]:
        return _rows(table, now, was)

    held = rows("held")
    ends = _ends(now)
    statuses = Counter[str]()
    for (status, _), times in ends.items():
        statuses[status] += times
    day = _moment(frame.until).date()
    resolved = sum(seen.times for event, seen in now.events.items() if event.table == "resolved")
    return Review(
        since=since,
        start=_moment(frame.start),
        until=_moment(frame.until),
        log=log,
        requests=sum(now.kinds.values()),
        before=None if was is None else sum(was.kinds.values()),
        statuses=dict(statuses),
        ends=_told(ends),
        ends_before=None if was is None else _told(_ends(was)),
        took=_took(now, was),
        waiting=max(0, sum(row.times for row in held) - resolved),
        money=money(now, was, policy, day),
        lanes=_lanes(now, was),
        slices=[_slice(frame, index, tallies.get(index, Tally())) for index in _indices(frame)],
        escalated=rows("escalated"),
        rejected=rows("rejected"),
        fallbacks=rows("fallbacks"),
        held=held,
        raised=rows("raised"),
        guarded=rows("guarded"),
        other_models=rows("other_models"),
        shut=rows("shut"),
    )


def _moment(micros: int) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(microseconds=micros)


def _indices(frame: Frame) -> range:
    return range(-frame.slices if frame.compared else 0, frame.slices)


def _ends(tally: Tally) -> Counter[tuple[str, str]]:
    """How often requests ended, by status and code; those under way are open."""
    ends = Counter[tuple[str, str]]()
    for ending, found in tally.ended.items():
        ends[ending.status, ending.code] += found.times
    under_way = sum(tally.kinds.values()) - ends.total()
    return ends + Counter({("open", ""): under_way} if under_way > 0 else {})


def _told(ends: Counter[tuple[str, str]]) -> dict[str, int]:
    """By status, and code where that says more."""
    told = Counter[str]()
    for (status, code), times in ends.most_common():
        told[status if code in ("", status) else f"{status} ({code})"] += times
    return dict(told)


def _rows(table: str, now: Tally, was: Tally | None) -> list[Row]:
    """The rows of a table, the most frequent first; one that happened only before has none."""
    found = [(event, seen) for event, seen in now.events.items() if event.table == table and seen.times > 0]
    found.sort(key=lambda pair: (-pair[1].times, pair[0]))
    return [_row(event, seen, None if was is None else _times(was, event)) for event, seen in found]


def _row(event: Event, seen: Seen, before: int | None) -> Row:
    change, examples = None if before is None else seen.times - before, tuple(seen.examples[:EXAMPLES])
    return Row(*event[1:], seen.times, before, change, examples[0] if examples else "", examples)


def _times(tally: Tally, event: Event) -> int:
    seen = tally.events.get(event)
    return max(0, seen.times) if seen else 0


def _took(now: Tally, was: Tally | None) -> list[Took]:
    made = [
        Took(event.workload, event.rule, event.lane, event.cause, seen.times,
             None if was is None else _times(was, event), quantile(seen.seconds, 0.5) or 0.0,
             max(seen.seconds, default=0.0), seen.examples[0])
        for event, seen in now.events.items() if event.table == "resolved" and seen.times > 0
    ]  # fmt: skip
    return sorted(made, key=lambda row: (-row.times, row.workload, row.rule, row.cause, row.action))


def _lanes(now: Tally, was: Tally | None) -> list[LaneUse]:
    """Who answered, the most frequent first."""
    used, before = _by_lane(now), _by_lane(was or Tally())
    names = sorted({*used, *before}, key=lambda lane: (-used.get(lane, Sum()).times, lane))
    return [
        LaneUse(name, used.get(name, Sum()).times, None if was is None else before.get(name, Sum()).times,
                used.get(name, Sum()).cost)
        for name in names
    ]  # fmt: skip


def _by_lane(tally: Tally) -> dict[str, Sum]:
    found: dict[str, Sum] = {}
    for ending, sums in tally.ended.items():
        if ending.status == "answered" and ending.lane:
            found.setdefault(ending.lane, Sum()).add(sums)
    return found


def _slice(frame: Frame, index: int, tally: Tally) -> Slice:
    def times(table: str) -> int:
        return sum(max(0, seen.times) for event, seen in tally.events.items() if event.table == table)

    cost = sum(found.cost for found in tally.ended.values()) + tally.shadows
    return Slice(_moment(frame.began(index)), sum(tally.kinds.values()), times("escalated"), times("rejected"),
                 times("fallbacks"), round(cost, 9))  # fmt: skip
