"""retention: what the log says of a decision goes once its class's time is over; the chain stays whole.

A decision goes whole or not at all, by the time of its last record. What is open is never over. The log's writer does
it, a few decisions a transaction, so that requests never wait for it.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import msgspec

from laneway.clock import new_id
from laneway.errors import LogError
from laneway.policy import KEPT_DAYS, Policy
from laneway.record import Erased
from laneway.store import Log, Reader

__all__ = ["BY", "Ended", "over", "retain"]

BY = "retention"
"""Who empties records."""

_DAY = 86_400_000_000
_AT_ONCE, _MOMENTS = 100, 10_000
_NEWEST = 2**63 - 1
_LONGEST_GAP = 31 * _DAY


class _Signals(msgspec.Struct):
    sensitivity: str


class _Opening(msgspec.Struct):
    signals: _Signals


class _First(msgspec.Struct):
    opening: _Opening


_first = msgspec.json.Decoder(_First)


class Ended(NamedTuple):
    """A decision whose time is over, its class, and the number of its last record."""

    id: str
    data_class: str
    last: int


def over(reader: Reader, policy: Policy, now: int) -> Iterator[Ended]:
    """Decisions whose time is over at `now` (microseconds, UTC), oldest first. Raises LogError.

    By the stamps of its last record, and by the age that the log itself shows: a clock that jumps makes nothing old.
    """
    limits = {policy.kept_days(name) for name in (*policy.classes, "")}
    oldest = _old(reader, limits, now)
    before, seq = now - KEPT_DAYS * _DAY, 0
    while True:
        page = reader.ask("over", seq=seq, before=before, page=_AT_ONCE)
        for _, id, body, at, last in page:
            try:
                data_class = _first.decode(body).opening.signals.sensitivity
            except msgspec.MsgspecError:
                raise LogError(f"the log holds a damaged record of {id}: run `laneway log verify`") from None
            days = policy.kept_days(data_class)
            if at < now - days * _DAY and last <= oldest[days]:
                yield Ended(id, data_class, last)
        if len(page) < _AT_ONCE:
            return
        seq = page[-1][0]


def _old(reader: Reader, limits: set[int], now: int) -> dict[int, int]:
    """For each number of days the newest record that is so old by the log: a gap counts as a month at most."""
    found, age, later, seq = dict[int, int](), 0, now, _NEWEST
    while len(found) < len(limits):
        page = reader.ask("moments", seq=seq, page=_MOMENTS)
        for seq, at in page:  # where the next page begins
            age += min(max(later - at, 0), _LONGEST_GAP)
            later = at
            for days in limits - found.keys():
                if age >= days * _DAY:
                    found[days] = seq
        if len(page) < _MOMENTS:
            break
    return dict.fromkeys(limits, 0) | found


def retain(log: Log, policy: Policy) -> Counter[str]:
    """Empty what is over; how many decisions of each class that were. Blocks. Raises LogError."""
    done, now = Counter[str](), log.now() // 1000
    with closing(Reader.open(log.path)) as reader:
        ended = list(over(reader, policy, now))
    day = datetime.datetime.fromtimestamp(now / 1e6, datetime.UTC).date()
    for begin in range(0, len(ended), _AT_ONCE):
        batch = ended[begin : begin + _AT_ONCE]
        entry = Erased(id=new_id(log.now()), by=BY, why=f"past the time of their class on {day}")
        gone = log.empty({each.id: each.last for each in batch}, entry)
        done.update(each.data_class for each in batch if each.id in gone)
    if done:
        log.scrub()
    return done
