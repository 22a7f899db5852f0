"""listing: the log by the page, newest first, for who looks for something: by workload, class, lane, cause and more.

A page goes on from a record's number, never from a count of rows, so that it costs the same anywhere in the log. What
is rare is looked for a stretch of the log at a time: a page that found too little in its time says how far it came.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from laneway.errors import LogError
from laneway.record import Status
from laneway.store.chain import SQL
from laneway.store.following import BROKEN
from laneway.store.reader import Reader
from laneway.store.story import Story

__all__ = ["Listed", "Listing", "Page", "Record", "Sought"]

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_ROWS, _FIRST_STRETCH, _LONGEST_STRETCH = 64, 512, 2048
_BUDGET = 0.1
_encode = msgspec.json.encode


class Record(NamedTuple):
    """Where an entry of a decision stands: its number, kind and hash in hex, and what is wrong with it, if anything."""

    seq: int
    kind: str
    hash: str
    problem: str = ""


class Listed(NamedTuple):
    """A decision by its first record; `story` is None where it cannot be read. `problem` is what is wrong with it."""

    seq: int
    id: str
    story: Story | None
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What decisions are looked for; None looks for all. Those that began `since` a moment and before `until`.

    `workload` is empty for work without one. `rule` is one that the decision names and that `matches` the story.
    `rejected` is a lane that was rejected. `open` are those without an end, `damaged` those whose records were changed.
    """

    workload: str | None = None
    sensitivity: str | None = None
    lane: str | None = None
    rule: str | None = None
    rejected: str | None = None
    status: Status | None = None
    open: bool = False
    damaged: bool = False
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    matches: Callable[[Story], bool] = lambda _: True

    def needles(self) -> dict[str, object]:
        """What must stand in a decision's first record, or in its end, for it to be one of these."""
        values = {"workload": self.workload, "sensitivity": self.sensitivity, "rule": self.rule,
                  "lane": self.rejected, "ended_lane": self.lane, "status": self.status}  # fmt: skip
        return {"open": self.open} | {
            name: b"" if value is None else b'"%b":%b' % (name.removeprefix("ended_").encode(), _encode(value or None))
            for name, value in values.items()
        }

    def fits(self, story: Story) -> bool:
        """Whether it is one of these."""
        opening, outcome = story.opening, story.outcome.entry if story.outcome else None
        return (
            self.workload in (None, opening.signals.workload or "")
            and self.sensitivity in (None, opening.signals.sensitivity)
            and self.lane in (None, outcome.lane if outcome else "")
            and self.status in (None, outcome.status if outcome else "")
            and (self.rejected is None or any(r.lane == self.rejected for r in opening.decision.rejected))
            and self.matches(story)
        )


class Page(NamedTuple):
    """Decisions, the newest first; where older and newer ones are, None where there are none.

    `reached` is how far the search came where its time was over before the page was full.
    """

    rows: tuple[Listed, ...]
    older: int | None
    newer: int | None
    reached: datetime.datetime | None = None


class Listing(Reader):
    """A log that is looked through by the page."""

    def page(
        self, sought: Sought, *, before: int | None = None, after: int | None = None, most: int = 50,
        budget: float = _BUDGET,
    ) -> Page:  # fmt: skip
        """The `most` newest of those sought before record `before`, or the oldest after `after`; without, the newest.

        They are looked for for about `budget` seconds.
        """
        low = self._first_since(sought.since) if sought.since else 1
        high = self._first_since(sought.until) if sought.until else self.last() + 1
        deadline = time.monotonic() + budget
        if after is not None:
            found, stopped = self._search(sought, max(after, low - 1), high, most + 1, deadline, up=True)
        else:
            found, stopped = self._search(sought, min(before or high, high), low, most + 1, deadline, up=False)
        rows, on = found[:most], found[most - 1].seq if len(found) > most else stopped
        reached = None if len(found) > most or stopped is None else self._moment(stopped)
        if after is not None:
            rows.reverse()
            return Page(tuple(rows), rows[-1].seq if rows else after + 1, on, reached)
        back = None if before is None else rows[0].seq if rows else before - 1
        return Page(tuple(rows), on, back, reached)

    def ask(self, query: str, **values: object) -> list[Any]:
        """All rows of a query by its name."""
        with self._reading():
            return self._db.execute(SQL[query], values).fetchall()

    def walk(self, after: int, most: int) -> tuple[int, str | None]:
        """Follow the chain from record `after` over `most`: how far it holds, and what is wrong behind that, if so."""
        reached = after
        try:
            for seq, _ in islice(self._chain(after), most + 1):
                reached = seq
        except BROKEN as error:
            return reached, str(error)
        return reached, None

    def records(self, id: str) -> list[Record]:
        """Every record of a decision, each held against the one before it."""
        places = self.ask("places", decision=id)
        return [Record(seq, kind, hash.hex(), self.walk(seq - 1, 1)[1] or "") for seq, kind, hash in places]

    def _search(
        self, sought: Sought, start: int, end: int, most: int, deadline: float, *, up: bool
    ) -> tuple[list[Listed], int | None]:
        """At most `most`: after `start` and before `end`, or before `start` and not before `end`.

        With it, where the search stopped, if its time was over.
        """
        at, found, stretch = start, list[Listed](), _FIRST_STRETCH
        query, needles = "first_up" if up else "first_down", sought.needles()
        while len(found) < most and (at < end - 1 if up else at > end):
            if stretch > _FIRST_STRETCH and time.monotonic() > deadline:
                return found, at
            after, before = (at, min(end, at + 1 + stretch)) if up else (max(end, at - stretch) - 1, at)
            rows, limit = [], min(_ROWS, most - len(found))
            if not sought.damaged or self.walk(after, before - after - 1)[1] is not None:
                rows = self.ask(query, after=after, before=before, most=limit, **needles)
            found += self._fitting(sought, rows)
            at = rows[-1][0] if len(rows) == limit else before - 1 if up else after + 1
            stretch = min(2 * stretch, _LONGEST_STRETCH)
        return found, None

    def _fitting(self, sought: Sought, rows: list[tuple[int, str]]) -> list[Listed]:
        """Those that are sought. One that cannot be read is: it must not be overlooked."""
        found = []
        for seq, id in rows:
            try:
                story = self._story(id)
            except LogError as error:
                found.append(Listed(seq, id, None, f"{error}"))
                continue
            if sought.fits(story):
                problem = next((record.problem for record in self.records(id) if record.problem), "")
                if problem or not sought.damaged:
                    found.append(Listed(seq, id, story, problem))
        return found

    def _first_since(self, moment: datetime.datetime) -> int:
        """The number of the first record of this moment or later, as far as clocks went forward."""
        micros, low, high = (moment - _EPOCH) // _MICROSECOND, 1, self.last() + 1
        while low < high:
            middle = (low + high) // 2
            if self.ask("moment", seq=middle)[0][0] < micros:
                low = middle + 1
            else:
                high = middle
        return low

    def _moment(self, seq: int) -> datetime.datetime | None:
        """When a record near this number was written."""
        found = self.ask("moment", seq=seq)
        return _EPOCH + found[0][0] * _MICROSECOND if found else None
