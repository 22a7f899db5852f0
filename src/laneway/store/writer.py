"""The log's writer: entries come in, and are durable when `append` returns.

Owns the lock on the log, its one writing connection and the thread that commits. Entries that come in
the same turns of an event loop, and all that wait, share one transaction, so that many cost one flush. What
is owed to the log, because it could not be written in its time, goes ahead of every batch.
"""

from __future__ import annotations

import asyncio
import hashlib
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from laneway.errors import LogError, LogInUse
from laneway.record import Compared, Entry, Erased, Outcome, Trial
from laneway.settling import alone, settle
from laneway.store.chain import SCHEMA, SQL, VERSION, Line, genesis, line, link, newer
from laneway.store.cleared import Left, stretches

__all__ = ["Log"]

_BUSY_SECONDS = 5.0
_AGAIN_SECONDS = 1.0
_GATHER_SECONDS = 0.005
"""The longest that entries wait for others to share their commit, in a loop that never rests."""
_REMEDIES = {
    sqlite3.SQLITE_FULL: "free space on its disk; writing goes on by itself then",
    sqlite3.SQLITE_BUSY: "another program holds the file; end that one",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for this user",
    sqlite3.SQLITE_CANTOPEN: "make the directory exist and writable for this user",
    sqlite3.SQLITE_IOERR: "look at its disk; writing goes on by itself once it works",
    sqlite3.SQLITE_CORRUPT: "see what `laneway log verify` says of it, then start a new log beside it",
    sqlite3.SQLITE_NOTADB: "name another file: this one is no log",
}


class _Call(msgspec.Struct):
    """As much of an intent as closing it needs, whatever else a version of Laneway wrote there."""

    id: str
    lane: str
    trial: Trial | None = None


_call = msgspec.json.Decoder(_Call)


class _Waiting(NamedTuple):
    """Lines to be written together; `future` tells who waits for them, and nobody does for what is owed.

    Where they cannot be written, `otherwise` is owed.
    """

    lines: list[Line]
    future: asyncio.Future[None] | None
    otherwise: Entry | None = None


class Log:
    """The log of one server process.

    `closed`: decisions found open and closed; `commits`: batches so far; `failure`: why the last batch
    could not be written, None while all is well; `migrated`: the file's older format, where it had one.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, now: Callable[[], int] = time.time_ns) -> None:
        self.path, self.now = path, now
        self.commits = 0
        self.failure: str | None = None
        self.migrated: int | None = None
        self._db = db
        self._salt = _salt(db)
        self._turn = threading.Lock()  # one transaction at a time on the one connection
        self._gate = threading.Lock()  # nothing is queued behind the end
        self._queue: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._ended = False
        self._held = ExitStack()
        self.closed = self._close_open_intents()
        self._thread = threading.Thread(target=self._run, name="laneway-log", daemon=True)

    @classmethod
    def open(cls, path: Path, now: Callable[[], int] = time.time_ns) -> Log:
        """Open or create the log at `path` and close what a crash left open. One server a log.

        `now` is the clock that entries are stamped by, in UTC nanoseconds.
        """
        if path.exists() and not path.is_file():
            raise LogError(f"the log {path} is no file: name one with --log, as nothing is answered without a record")
        with ExitStack() as held:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(alone(path, partial(_in_use, path)))
                path.touch(mode=0o600)
                db = held.enter_context(closing(_connect(path)))
                migrated = _brought_up(path, db)
                log = cls(path, db, now)
                log.migrated = migrated
            except (OSError, sqlite3.Error) as error:
                raise LogError(f"the log {path} cannot be opened: {_cause(error)}") from error
            log._held = held.pop_all()
        log._thread.start()
        return log

    async def append(self, *entries: Entry, otherwise: Entry | None = None) -> None:
        """Write `entries` together; returns once they are on disk, and raises LogError where they cannot be written.

        Cancelled, they are still written. Where they cannot be, `otherwise` is owed, as by `owe`.
        """
        if not entries:
            return
        loop = asyncio.get_running_loop()
        lines, future = [self._line(e) for e in entries], loop.create_future()
        with self._gate:
            self._check_open()
            gathered = self._gathered.setdefault(loop, [])
            gathered.append(_Waiting(lines, future, otherwise))
        if len(gathered) == 1:
            loop.call_soon(self._hand_over, loop, 1, loop.time() + _GATHER_SECONDS)
        await future

    def owe(self, entry: Entry) -> None:
        """Have `entry` written as soon as the log can be, however often that fails; lost if the process ends first.

        Only for decisions with an intent on disk. New ones get there in a batch that writes all that is owed too,
        so no more is ever kept than the requests that were under way when writing began to fail.
        """
        # Where the log is closed, the next start ends the decision, as after a crash.
        with suppress(LogError), self._gate:
            self._check_open()
            self._queue.put([_Waiting([self._line(entry)], None)])

    def _hand_over(self, loop: asyncio.AbstractEventLoop, seen: int, deadline: float) -> None:
        """Pass on what `loop` gathered, once a turn of it brought nothing more or it is time.

        A commit costs far more than an entry: entries that come together are to share one. The loop knows when no
        more are coming at once; the thread would have to wait and see.
        """
        with self._gate:
            size = len(self._gathered.get(loop, ()))
            if size == seen or loop.time() > deadline:
                self._queue.put(self._gathered.pop(loop, []))
                return
        loop.call_soon(self._hand_over, loop, size, deadline)

    def _check_open(self) -> None:
        if self._ended:
            raise LogError(f"the log {self.path} is closed; the server is stopping")

    def archive(self, hash: str, text: str) -> None:
        """Keep a policy's text by its SHA-256. Blocks until it is on disk; a second time does nothing."""
        if hashlib.sha256(text.encode()).hexdigest() != hash:
            raise LogError(f"policy {hash} is not the SHA-256 of the text to be archived under it")
        with self._transaction() as db:
            db.execute(SQL["archive"], {"hash": hash, "text": text})

    def empty(self, ids: Mapping[str, int], entry: Erased) -> set[str]:
        """Empty all records of these decisions, and write `entry` with the stretches that they are. Blocks.

        `ids` have the number of their last record: what has more by now is left alone. Which were emptied; all of it
        is on disk when this returns, or nothing was done and it raises LogError.
        """
        done = set[str]()
        with self._transaction() as db:
            rows: list[tuple[Left, bytes]] = []
            for id, last in ids.items():
                if db.execute(SQL["last_of"], {"decision": id}).fetchone() != (last,):
                    continue
                done.add(id)
                rows += [((*left,), before or genesis(self._salt))
                         for *left, before in db.execute(SQL["left_of"], {"decision": id})]  # fmt: skip
                db.execute(SQL["empty"], {"decision": id})
            if done:
                made = msgspec.structs.replace(entry, records=stretches(sorted(rows)))
                tip: tuple[int, bytes] = db.execute(SQL["tip"]).fetchone()
                db.executemany(SQL["append"], _linked([self._line(made)], *tip))
        return done

    def scrub(self) -> None:
        """Have the write-ahead log forget what was emptied, unless somebody reads it; the next time it is."""
        with self._turn, suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 0")  # requests wait behind this
            try:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                self._db.execute("PRAGMA busy_timeout = 5000")

    def commitment(self, data: bytes) -> str:
        """A hash of `data` keyed with this log's salt: equal only for equal data within this log."""
        return hashlib.blake2b(data, key=self._salt, digest_size=32).hexdigest()

    def close(self) -> None:
        """Write what is waiting, fold the write-ahead log into the file and let go of the lock."""
        with self._gate:
            if self._ended:
                return
            self._ended = True
            for gathered in self._gathered.values():
                self._queue.put(gathered)
            self._gathered.clear()
            self._queue.put(None)
        self._thread.join()
        with self._held, suppress(sqlite3.Error):  # a checkpoint not made now is made by the next open
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _run(self) -> None:
        more, owed = True, list[_Waiting]()
        while more:
            batch, more = self._drain(_AGAIN_SECONDS if owed else None)
            batch = owed + batch
            failure = None
            try:
                if batch:
                    self._write(each for waiting in batch for each in waiting.lines)
            except LogError as error:
                failure = str(error)
            if batch:
                self.failure = failure
            owed = list(self._owed(batch)) if failure else []
            futures = [waiting.future for waiting in batch if waiting.future is not None]
            settle(futures, LogError(failure) if failure else None)

    def _drain(self, seconds: float | None) -> tuple[list[_Waiting], bool]:
        """Wait for work, at most `seconds`, then take everything that waits; False with the last batch."""
        batch: list[_Waiting] = []
        with suppress(queue.Empty):
            waiting = self._queue.get(timeout=seconds)
            while waiting is not None:
                batch += waiting
                waiting = self._queue.get_nowait()
            return batch, False
        return batch, True

    def _owed(self, batch: Iterable[_Waiting]) -> Iterator[_Waiting]:
        """What is still to be written of a batch that could not be."""
        for waiting in batch:
            if waiting.future is None:
                yield waiting
            elif waiting.otherwise is not None:
                with suppress(LogError):  # it is no JSON: then the next start ends the decision
                    yield _Waiting([self._line(waiting.otherwise)], None)

    def _line(self, entry: Entry) -> Line:
        return line(entry, self.now() // 1000)

    def _write(self, lines: Iterable[Line]) -> None:
        with self._transaction() as db:
            # The end of the chain is read and never remembered, so a failed batch leaves nothing to undo.
            tip: tuple[int, bytes] | None = db.execute(SQL["tip"]).fetchone()
            db.executemany(SQL["append"], _linked(lines, *(tip or (0, genesis(self._salt)))))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """All of it durable, or none of it and a LogError."""
        with self._turn:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except Exception as error:
                # Every failure, even a defect of ours: callers would wait forever for a thread that died.
                with suppress(sqlite3.Error):
                    self._db.rollback()
                raise LogError(f"the log {self.path} cannot be written: {_cause(error)}") from error
            self.commits += 1

    def _close_open_intents(self) -> int:
        bodies = [body for (body,) in self._db.execute(SQL["open_intents"])]
        try:
            calls = [_call.decode(body) for body in bodies]
        except msgspec.MsgspecError as error:
            raise LogError(f"the log {self.path} holds a damaged record: run `laneway log verify`") from error
        if calls:
            self._write(self._line(_interrupted(call)) for call in calls)
        return len(calls)


def _interrupted(call: _Call) -> Outcome | Compared:
    """The end of a call that nobody saw the end of."""
    trial = call.trial
    if trial is None:
        return Outcome(id=call.id, status="interrupted", code="interrupted", lane=call.lane)
    return Compared(id=call.id, lane=trial.lane, incumbent=trial.incumbent, rule=trial.rule, result="failed",
                    code="interrupted", cost=trial.worst)  # fmt: skip


def _linked(lines: Iterable[Line], seq: int, head: bytes) -> Iterator[tuple[int | str | bytes, ...]]:
    for at, decision, kind, body in lines:
        seq += 1
        head = link(head, seq, at, decision.encode(), kind.encode(), body)
        yield seq, at, decision, kind, body, head


def _in_use(path: Path, lock: Path) -> LogInUse:
    return LogInUse(f"the log {path} is in use by another server ({lock}): stop that one, or name another log")


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON").fetchall()
    return db


def _brought_up(path: Path, db: sqlite3.Connection) -> int | None:
    """Bring an older or empty file to this format, each step whole or not at all; the older format, if any."""
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise newer(path, found)
    if found == 0 and db.execute(SQL["objects"]).fetchone()[0]:
        raise LogError(f"the file {path} is a database of another program: name another file with --log")
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    for version in range(found, VERSION):
        try:
            db.executescript(SCHEMA[version])
        except sqlite3.Error as error:
            raise LogError(
                f"the log {path} has format {found} and could not be brought to format {VERSION}: {_cause(error)}; "
                "it is as it was before this step"
            ) from error
    return found if 0 < found < VERSION else None


def _salt(db: sqlite3.Connection) -> bytes:
    db.execute(SQL["put_salt"], {"salt": secrets.token_bytes(32)})
    salt: bytes = db.execute(SQL["salt"]).fetchone()[0]
    return salt


def _cause(error: Exception) -> str:
    """What SQLite or the system said, and what to do. Neither ever quotes an entry."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    remedy = f"; {_REMEDIES[code]}" if code in _REMEDIES else ""
    known = isinstance(error, sqlite3.Error | OSError)
    return f"{error if known else type(error).__name__}{remedy}"
