"""The log's reader: stories, policy texts and the proof of the chain come out, while a server writes.

Owns one read-only connection. Nothing here holds more than a page of the log in memory.
"""

from __future__ import annotations

import datetime
import difflib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, Self

import msgspec

from laneway.errors import LogError
from laneway.record import (
    HELD,
    Compared,
    Entry,
    Erased,
    Feedback,
    Lever,
    Resolution,
    Review,
    Shut,
    Word,
)
from laneway.store.chain import SQL, VERSION, newer
from laneway.store.checkpoint import Against
from laneway.store.following import BROKEN, DAMAGE, BrokenLog, Following
from laneway.store.story import Logged, Seen, Story, Verification, story_of

__all__ = ["Reader"]

_BUSY_SECONDS = 5.0
_PAGE = 256
_PROGRESS = 1000
_NEWEST = 2**63 - 1
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)

_entry = msgspec.json.Decoder[Entry](Entry)
_feedback = msgspec.json.Decoder(Feedback)
_shut = msgspec.json.Decoder(Shut)
_compared = msgspec.json.Decoder(Compared)
_desk = msgspec.json.Decoder[Review | Resolution](Review | Resolution)
_lever = msgspec.json.Decoder(Lever)
_erased = msgspec.json.Decoder(Erased)


class _Asked(msgspec.Struct):
    workload: str | None = None


class _Seen(msgspec.Struct):
    signals: _Asked


class _First(msgspec.Struct):
    """As much of a request's first entry as says its workload."""

    opening: _Seen


class _Ended(msgspec.Struct):
    """As much of an outcome as says whose answer it was."""

    status: str
    lane: str | None = None
    code: str = ""


_first = msgspec.json.Decoder(_First)
_ended = msgspec.json.Decoder(_Ended)


class Reader(Following):
    """A log seen from outside the server that writes it. Close it after use."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the log at `path` for reading only."""
        if path.exists() and not path.is_file():
            raise LogError(f"the log {path} is no file: name one with --log")
        if not path.exists():
            raise LogError(f"there is no log at {path}; `laneway serve` makes one when it first starts")
        uri = path.absolute().as_uri() + "?mode=ro"
        try:
            db = sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise LogError(f"the log {path} cannot be opened: {error}") from error
        with suppress(sqlite3.Error):  # a file that is no log shows itself when it is read
            (found,) = db.execute("PRAGMA user_version").fetchone()
            if found > VERSION:
                db.close()
                raise newer(path, found)
        return cls(path, db)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def story(self, id: str) -> Story | None:
        """The story of the decision with this id, with the only id that starts so, or the "last" one."""
        if id == "last":
            return next(self.recent(1), None)
        ids = self._starting_with(id)
        return self._story(ids[0]) if ids and (ids[0] == id or len(ids) == 1) else None

    def nearest(self, id: str) -> str | None:
        """A known id that `id` may have been meant for."""
        ids = self._starting_with(id)
        if ids:
            return ids[0]
        with self._reading():
            ids = [found for (found,) in self._db.execute(SQL["latest_ids"], {"page": _PAGE})]
            return next(iter(difflib.get_close_matches(id, ids, n=1)), None)

    def entries(
        self, since: datetime.datetime | None = None, after: int = 0
    ) -> Iterator[tuple[int, int, bytes, bytes, bytes]]:
        """Every entry since, behind number `after`, as it is stored: number, microseconds, decision, kind and body."""
        return self._pages("entries", since, after)

    def last(self) -> int:
        """The number of the newest entry; 0 where there is none."""
        with self._reading():
            newest: int = self._db.execute(SQL["last_seq"]).fetchone()[0]
        return newest

    def recent(self, limit: int = 20, since: datetime.datetime | None = None) -> Iterator[Story]:
        """At most `limit` stories, the newest request first."""
        return islice(self._stories("newest_first", _NEWEST, since), max(limit, 0))

    def stories(self, since: datetime.datetime | None = None) -> Iterator[Story]:
        """Every story, the oldest request first."""
        return self._stories("oldest_first", 0, since)

    def feedback(self, since: datetime.datetime | None = None) -> Iterator[Word]:
        """What was said of answers given since, as it came; found by an index."""
        with self._reading():
            for _, at, body, ended, first in self._pages("feedback", since):
                lane = _ended.decode(ended).lane
                if lane is not None:
                    yield Word(_time(at), _feedback.decode(body), _workload(first), lane)

    def shuts(self, since: datetime.datetime | None = None) -> Iterator[Logged[Shut]]:
        """The lanes that were found to be another model, as it was found; by an index."""
        with self._reading():
            for _, at, body in self._pages("shuts", since):
                yield Logged(_time(at), _shut.decode(body))

    def compared(self, since: datetime.datetime | None = None) -> Iterator[Seen]:
        """The comparisons with unseen answers made since, oldest first; found by an index."""
        with self._reading():
            for _, at, body, first in self._pages("compared", since):
                yield Seen(_time(at), _compared.decode(body), _workload(first))

    def desk(self, since: datetime.datetime | None = None) -> Iterator[Logged[Review | Resolution]]:
        """What was put before people since, and what they made of it, as it came; found by an index."""
        with self._reading():
            for _, at, body in self._pages("desk", since):
                yield Logged(_time(at), _desk.decode(body))

    def erased(self, since: datetime.datetime | None = None) -> Iterator[Logged[Erased]]:
        """What was erased since, as it was; found by an index."""
        with self._reading():
            for _, at, body in self._pages("erased", since):
                yield Logged(_time(at), _erased.decode(body))

    def levers(self, since: datetime.datetime | None = None) -> Iterator[Logged[Lever]]:
        """What operators did since, as it came; found by an index."""
        with self._reading():
            for _, at, body in self._pages("levers", since):
                yield Logged(_time(at), _lever.decode(body))

    def tally(self, since: datetime.datetime | None = None) -> Counter[tuple[str | None, str]]:
        """How many answers clients were given since, or people to release, by workload and answering lane.

        Reads every record since once.
        """
        found = Counter[tuple[str | None, str]]()
        with self._reading():
            for _, body, first in self._pages("answers", since):
                ended = _ended.decode(body)
                if ended.lane is not None and (ended.status == "answered" or ended.code == HELD):
                    found[_workload(first), ended.lane] += 1
        return found

    def ask(self, query: str, **values: object) -> list[Any]:
        """All rows of a query by its name."""
        with self._reading():
            return self._db.execute(SQL[query], values).fetchall()

    def policy_text(self, hash: str) -> str | None:
        """The policy file that had this SHA-256, as it was served."""
        with self._reading():
            row: tuple[str] | None = self._db.execute(SQL["policy_text"], {"hash": hash}).fetchone()
        return row[0] if row else None

    def damage(self, newest: int = _PAGE, progress: Callable[[int, int], None] | None = None) -> str | None:
        """What is wrong with the newest records, None where each follows from the one before. `verify` reads all."""
        try:
            last: int = self._db.execute(SQL["last_seq"]).fetchone()[0]
            for seq, _ in self._chain(max(0, last - newest)):
                if progress and seq % _PROGRESS == 0:
                    progress(seq, last)
        except BROKEN as error:
            return str(error)
        return None

    def hashes(self, after: int, until: int | None = None) -> Iterator[bytes]:
        """The hashes of the records behind number `after`, as they stand there; `verify` recomputes them."""
        bounds = {"until": _NEWEST if until is None else until, "page": _PAGE}
        while True:
            with self._reading():
                page = self._db.execute(SQL["hashes"], bounds | {"after": after}).fetchall()
            for seq, hash in page:
                after += 1
                if seq != after:
                    raise LogError(f"the log {self.path} has no record {after}: run `laneway log verify`")
                yield hash
            if len(page) < _PAGE:
                return

    def backup(self, copy: Path) -> None:
        """Copy the log as it is now into the empty file `copy`, while a server may go on writing."""
        try:
            with closing(sqlite3.connect(copy, isolation_level=None)) as target:
                self._db.backup(target)
                target.execute("PRAGMA journal_mode = DELETE").fetchall()  # so that the copy is one file
        except sqlite3.Error as error:
            raise LogError(f"the log {self.path} cannot be copied to {copy}: {error}") from error

    def verify(
        self, progress: Callable[[int, int], None] | None = None, against: Against | None = None
    ) -> Verification:
        """Recompute the chain, the policies' hashes and SQLite's own checks; stops at the first problem.

        Finds any change of a record that was followed by another, and any change that did not recompute
        the chain. A chain alone cannot show that its newest records were cut off, or that all of it was
        written anew: signed checkpoints that were kept elsewhere can, given as `against`.
        """
        entries, head = 0, b""
        try:
            total: int = self._db.execute(SQL["last_seq"]).fetchone()[0]
            for entries, head in self._chain():
                if against is not None and entries:
                    against.add(head)
                if progress and entries % _PROGRESS == 0:
                    progress(entries, total)
            if progress:
                progress(entries, entries)
            problem = against.problem() if against else None
            if problem is not None:
                raise BrokenLog(problem)
            self._check_policies()
            self._check_file()
        except BrokenLog as broken:
            return Verification(False, entries, str(broken), head.hex())
        except DAMAGE as error:
            problem = f"the file cannot be read after record {entries}: {error}"
            return Verification(False, entries, problem, head.hex())
        return Verification(True, entries, None, head.hex(), against.covered if against else 0)

    def _stories(self, query: str, seq: int, since: datetime.datetime | None) -> Iterator[Story]:
        return (self._story(id) for _, id in self._pages(query, since, seq))

    def _pages(self, query: str, since: datetime.datetime | None, seq: int = 0) -> Iterator[tuple[Any, ...]]:
        """The rows of a query that goes on from a record's number, which comes first in each."""
        # A page a query: an open one would keep the write-ahead log growing for as long as a person reads.
        earliest = (since - _EPOCH) // _MICROSECOND if since else 0
        while True:
            with self._reading():
                page = self._db.execute(SQL[query], {"seq": seq, "since": earliest, "page": _PAGE}).fetchall()
            yield from page
            if len(page) < _PAGE:
                return
            seq = page[-1][0]

    def _story(self, id: str) -> Story:
        with self._reading():
            rows = self._db.execute(SQL["story"], {"decision": id}).fetchall()
            found = story_of(id, ((_time(micros), _entry.decode(body)) for _, micros, body in rows if body))
        if found is None:
            if any(not body for *_, body in rows):
                when = self._emptied(rows[0][0])
                raise LogError(f"what the log said of decision {id} was emptied{when}, as its time was over; its "
                               "hashes are still in the chain")  # fmt: skip
            raise LogError(f"the log {self.path} has no opening of decision {id}: run `laneway log verify`")
        return found

    def _emptied(self, seq: int) -> str:
        """When the record was emptied, where the log says so."""
        when = (at for at, entry in self.erased() for part in entry.records if part.first <= seq <= part.last)
        return next((f" on {at:%Y-%m-%d}" for at in when), "")

    def _starting_with(self, prefix: str) -> list[str]:
        if not prefix or not prefix.isprintable():
            return []
        with self._reading():
            bounds = {"prefix": prefix, "beyond": prefix + "\U0010ffff"}
            return [id for (id,) in self._db.execute(SQL["starting_with"], bounds)]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            raise LogError(f"the log {self.path} cannot be read: {error}; run `laneway log verify`") from error


def _workload(body: bytes) -> str | None:
    """What a request's first entry says of its workload."""
    return _first.decode(body).opening.signals.workload


def _time(micros: int) -> datetime.datetime:
    return _EPOCH + micros * _MICROSECOND
