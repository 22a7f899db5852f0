"""retention: what the log says of a decision goes once its class's time is over; the chain stays whole.

A decision goes whole or not at all, by the time of its last record. What is open is never over. The log's writer does
it, a few decisions a transaction, so that requests never wait for it.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import msgspec

from laneway.clock import new_id
from laneway.errors import LogError
from laneway.policy import KEPT_DAYS, Policy
from laneway.record import Erased
from laneway.store import Log, Reader

__all__ = ["BY", "over", "retain"]

BY = "retention"
"""Who empties records."""

_DAY = 86_400_000_000
_AT_ONCE = 100


class _Signals(msgspec.Struct):
    sensitivity: str


class _Opening(msgspec.Struct):
    signals: _Signals


class _First(msgspec.Struct):
    opening: _Opening


_first = msgspec.json.Decoder(_First)


def over(reader: Reader, policy: Policy, now: int) -> Iterator[tuple[str, str]]:
    """Decisions whose time is over at `now` (microseconds, UTC), oldest first, with their class. Raises LogError."""
    before, seq = now - KEPT_DAYS * _DAY, 0
    while True:
        page = reader.ask("over", seq=seq, before=before, page=_AT_ONCE)
        for _, id, body, last in page:
            try:
                data_class = _first.decode(body).opening.signals.sensitivity
            except msgspec.MsgspecError:
                raise LogError(f"the log holds a damaged record of {id}: run `laneway log verify`") from None
            if last < now - policy.kept_days(data_class) * _DAY:
                yield id, data_class
        if len(page) < _AT_ONCE:
            return
        seq = page[-1][0]


def retain(log: Log, policy: Policy) -> Counter[str]:
    """Empty what is over; how many decisions of each class that were. Blocks. Raises LogError."""
    done, now = Counter[str](), log.now() // 1000
    with closing(Reader.open(log.path)) as reader:
        ended = list(over(reader, policy, now))
    day = datetime.datetime.fromtimestamp(now / 1e6, datetime.UTC).date()
    for begin in range(0, len(ended), _AT_ONCE):
        batch = ended[begin : begin + _AT_ONCE]
        entry = Erased(id=new_id(log.now()), by=BY, why=f"past the time of their class on {day}")
        log.empty((id for id, _ in batch), entry)
        done.update(data_class for _, data_class in batch)
    if done:
        log.scrub()
    return done
