"""tally: the records of a bundle folded, one by one, into what can be told of them. Pure.

Entries are counted by what they say; what a bundle does not hold, such as how a request began before its first record,
is not guessed.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from typing import TypeVar

import msgspec

from laneway.incident.form import Line, Stretch, stretches
from laneway.levers import sentence
from laneway.record import (
    Compared,
    Entry,
    Erased,
    Feedback,
    Intent,
    Lever,
    Opening,
    Outcome,
    Resolution,
    Review,
    Shut,
)

__all__ = ["Tally"]

_MOST = 1_000
_MOST_OPEN = 100_000
_LONG = 1_000
_LATEST = 253_402_300_799_999_999
"""The last microsecond that a calendar has."""
_ID = re.compile(r"[0-9a-f]{11}-[0-9a-f]+")
_entry = msgspec.json.Decoder[Entry](Entry).decode
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

K = TypeVar("K", bound=str | tuple[str, ...])


class Tally:
    """What is in records so far. The keys of the counters are rows as people read them, 1,000 of each at most."""

    def __init__(self) -> None:
        self.records = self.begun = self.ended_before = self.unread = self.more = 0
        self.emptied = list[Stretch]()
        self.policies = Counter[str]()
        self.kinds = Counter[tuple[str, ...]]()  # workload, class
        self.ends = Counter[tuple[str, ...]]()  # status, code, lane
        self.examples: dict[tuple[str, ...], str] = {}
        self.hops = Counter[tuple[str, ...]]()  # why, lane, cause
        self.calls = Counter[tuple[str, ...]]()  # lane, result
        self.weak = Counter[tuple[str, ...]]()  # lane, checks
        self.closed = Counter[tuple[str, ...]]()  # lane, why
        self.held_up = Counter[tuple[str, ...]]()  # what is paused or stopped, why
        self.levers: list[tuple[datetime.datetime, str, str]] = []  # by whom, what
        self.reviews = Counter[tuple[str, ...]]()  # rule, cause
        self.resolutions = Counter[tuple[str, ...]]()  # action, by
        self.words = Counter[tuple[str, ...]]()  # source, good or not
        self.shut = Counter[tuple[str, ...]]()  # lane, what it is
        self.erased: list[tuple[datetime.datetime, str, str, int, str]] = []  # by whom, why, contents, records
        self.compared = Counter[tuple[str, ...]]()
        self._open = set[str]()

    @property
    def open(self) -> int:
        """Requests that began in these records and did not end in them."""
        return len(self._open)

    def add(self, line: Line) -> None:
        """The next record."""
        self.records += 1
        if not line.body:
            stretches(self.emptied, line.seq)
            return
        try:
            entry = _entry(line.body)
        except msgspec.MsgspecError:
            self.unread += 1
            return
        at = _EPOCH + datetime.timedelta(microseconds=min(max(line.at, 0), _LATEST))
        if isinstance(entry, Intent | Outcome) and entry.opening is not None:
            self._begin(entry.id, entry.opening)
        if isinstance(entry, Intent) and entry.trial is None:
            if entry.why != "first":
                self._count(self.hops, (entry.why, entry.lane, entry.cause))
        elif isinstance(entry, Outcome):
            self._end(entry)
        else:
            self._said(entry, at)

    def _begin(self, id: str, opening: Opening) -> None:
        self.begun += 1
        if len(self._open) < _MOST_OPEN:
            self._open.add(id)
        self._count(self.policies, opening.policy)
        self._count(self.kinds, (opening.signals.workload or "(none)", opening.signals.sensitivity))
        facts = opening.facts
        for lane, why in facts.closed.items():
            self._count(self.closed, (lane, why))
        for workload, why in facts.paused.items():
            self._count(self.held_up, (f"workload {workload}", why))
        if facts.stopped:
            self._count(self.held_up, ("everything", facts.stopped))

    def _end(self, end: Outcome) -> None:
        if end.id in self._open:
            self._open.discard(end.id)
        else:
            self.ended_before += 1
        key = (end.status, end.code, end.lane or "")
        self._count(self.ends, key)
        if len(self.examples) < _MOST:
            self.examples.setdefault(key, end.id[:_LONG])
        for attempt in end.attempts:
            self._count(self.calls, (attempt.lane, attempt.result))
            if attempt.verdict is not None and attempt.verdict.failed:
                self._count(self.weak, (attempt.lane, ", ".join(attempt.verdict.failed)))

    def _said(self, entry: Entry, at: datetime.datetime) -> None:
        match entry:
            case Feedback():
                self._count(self.words, (entry.source, "good" if entry.accepted else "not good"))
            case Shut():
                self._count(self.shut, (entry.lane, f"answered as {entry.answered}, not {entry.measured}"))
            case Compared():
                self._count(self.compared, (f"{entry.lane} for {entry.incumbent}", entry.result))
            case Review():
                self._count(self.reviews, (entry.rule, entry.cause))
            case Resolution():
                self._count(self.resolutions, (entry.action if entry.final else f"{entry.action}, not final", entry.by))
            case Lever() if not _ID.fullmatch(entry.id):
                self.unread += 1
            case Lever() if len(self.levers) < _MOST:
                self.levers.append((at, entry.by[:_LONG], sentence(entry)[:_LONG]))
            case Erased() if len(self.erased) < _MOST:
                records = ", ".join(f"{s.first} to {s.last}" for s in entry.records)
                self.erased.append((at, entry.by[:_LONG], entry.why[:_LONG], entry.contents, records[:_LONG]))
            case Lever() | Erased():
                self.more += 1

    def _count(self, counter: Counter[K], key: K) -> None:
        short = key[:_LONG] if isinstance(key, str) else tuple(part[:_LONG] for part in key)
        if short in counter or len(counter) < _MOST:
            counter[short] += 1  # type: ignore[index]  # of the same kind, only shorter
        else:
            self.more += 1
