"""results: what was asked and answered in evaluations, in a SQLite file beside the policy.

An answer is on disk before it is scored, and a call before it is made, so that a run that is killed pays twice for no
answer that it has, and knows which calls may have been paid for without one. The file holds questions' names and
answers' texts: it is for its owner alone (mode 0600).
"""

from __future__ import annotations

import asyncio
import datetime
import queue
import re
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from laneway.errors import LanewayError
from laneway.settling import alone, settle

__all__ = ["FILE", "SQL", "Result", "Results", "ResultsError"]

FILE = "evals.db"
"""The file's name, beside the policy."""

SQL = dict(re.findall(r"^-- name: (\w+)\n(.+?;)$", Path(__file__).with_name("results.sql").read_text(), re.M | re.S))
_FORMAT = 1
_COLUMNS = ("workload", "set_hash", "sample_hash", "lane", "prompt", "key", "model", "endpoint")
_BUSY_SECONDS = 5.0


class ResultsError(LanewayError):
    """The results cannot be read or written. No lane is called without them."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One lane's answer to one sample, and its score where it has one.

    `key` is a SHA-256 of all that the answer depends on; `prompt` the hash of the system prompt, empty for none.
    `error` is a stable code where `answer` is None; `reported` is what the lane called itself, empty where it said
    nothing. `cost` is None where the price is unknown. `parts` are each scorer's name, value and explanation;
    `unscored` says why `score` is None, and `scored_by` which version of Laneway gave it.
    """

    key: str
    set: str
    set_hash: str
    sample: str
    sample_hash: str
    language: str | None
    group: str | None
    sensitivity: str
    workload: str
    lane: str
    model: str
    endpoint: str
    prompt: str
    answer: str | None
    reported: str
    finish: str
    error: str
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None
    seconds: float
    at: datetime.datetime
    score: float | None = None
    parts: tuple[tuple[str, float, str], ...] = ()
    unscored: str = ""
    scored_by: str = ""

    @property
    def settled(self) -> bool:
        """Whether asking again would be asking the same: there is an answer, or the lane refuses to give one."""
        return self.answer is not None or self.error == "refused"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Result).decode
_Step = tuple[str, dict[str, object]]


class _Waiting(NamedTuple):
    """Statements to be run in one transaction, and who waits until they are on disk."""

    steps: list[_Step]
    future: asyncio.Future[None]


class Results:
    """The results in one file: opened to read, or by one run at a time to write as well.

    `lost` counts, by lane, the calls that an earlier run began and never ended.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, writer: sqlite3.Connection | None) -> None:
        self.path = path
        self.lost: dict[str, int] = {}
        self._db, self._writer = db, writer
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._held = ExitStack()
        self._thread: threading.Thread | None = None
        if writer is not None:
            self.lost = dict(writer.execute(SQL["lost"]).fetchall())
            writer.execute(SQL["forget"])
            self._thread = threading.Thread(target=self._run, args=(writer,), name="laneway-results", daemon=True)
            self._thread.start()

    @classmethod
    def open(cls, path: Path, *, write: bool = False) -> Results:
        """Open the file; to write, create it where it is missing, and keep other runs out. Raises ResultsError."""
        if not write and not path.exists():
            raise ResultsError(f"there are no results at {path}; `laneway eval run` makes them")
        with ExitStack() as held, _told(path):
            writer = None
            if write:
                held.enter_context(alone(path, lambda _: _in_use(path)))
                path.touch(mode=0o600)
                path.chmod(0o600)
                writer = _connected(path)
                held.callback(writer.close)
            db = _connected(path)
            held.callback(db.close)
            _check(path, db, write=write)
            if writer is not None:
                _made(writer)
            db.execute("PRAGMA query_only = ON")
            found = cls(path, db, writer)
            found._held = held.pop_all()
        return found

    def find(self, key: str) -> Result | None:
        """What was answered under this key, an answer before an error. Raises ResultsError."""
        with _told(self.path):
            row = self._db.execute(SQL["find"], {"key": key}).fetchone()
            return None if row is None else _decode(row[0])

    def of(
        self, *, set_hash: str | None = None, workload: str | None = None, lane: str | None = None,
        prompt: str | None = None,
    ) -> Iterator[Result]:  # fmt: skip
        """The results that these name, sample by sample: of each model and address the newest. Raises ResultsError."""
        wanted = {"set_hash": set_hash, "workload": workload, "lane": lane, "prompt": prompt}
        with _told(self.path):
            for (body,) in self._db.execute(SQL["of"], wanted):
                yield _decode(body)

    async def intend(self, key: str, lane: str) -> None:
        """Have it on disk that a call is about to be made. Raises ResultsError; then it must not be made."""
        await self._write(("intend", {"key": key, "lane": lane, "at": _now()}))

    @asynccontextmanager
    async def calling(self, key: str) -> AsyncIterator[None]:
        """Around a call: one that came to nothing, as whatever made it says, is not one that never ended."""
        try:
            yield
        except LanewayError:
            await self._write(("end", {"key": key}))
            raise

    async def put(self, *results: Result) -> None:
        """Write results, each in place of an earlier one of its key and sample; the calls behind them have ended."""
        await self._write(*(step for result in results for step in _steps(result)))

    def close(self) -> None:
        """Write what is waiting and close the file."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None
        self._held.close()

    async def _write(self, *steps: _Step) -> None:
        if self._thread is None:
            raise ResultsError(f"{self.path} is not open for writing")
        future = asyncio.get_running_loop().create_future()
        self._queue.put(_Waiting(list(steps), future))
        await future

    def _run(self, db: sqlite3.Connection) -> None:
        """Commit all that waits together, again and again, until None comes."""
        more = True
        while more:
            batch = [self._queue.get()]
            with suppress(queue.Empty):
                while batch[-1] is not None:
                    batch.append(self._queue.get_nowait())
            more = batch[-1] is not None
            waiting = [each for each in batch if each is not None]
            failure: Exception | None = None
            try:
                with _told(self.path):
                    _commit(db, (step for each in waiting for step in each.steps))
            except Exception as error:  # noqa: BLE001  # even a defect of ours: callers would wait for ever
                failure = error
            settle([each.future for each in waiting], failure)


def _steps(result: Result) -> Iterator[_Step]:
    row = {name: getattr(result, name) for name in _COLUMNS}
    at = int(result.at.timestamp() * 1_000_000)
    yield "put", {**row, "settled": result.settled, "at": at, "body": _encode(result)}
    yield "end", {"key": result.key}


def _commit(db: sqlite3.Connection, steps: Iterator[_Step]) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for name, values in steps:
            db.execute(SQL[name], values)
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            with suppress(sqlite3.Error):
                db.rollback()


def _in_use(path: Path) -> ResultsError:
    return ResultsError(f"another `laneway eval run` writes {path}; wait for it, or name another --results")


def _now() -> int:
    return time.time_ns() // 1000


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    return db


def _check(path: Path, db: sqlite3.Connection, *, write: bool) -> None:
    (found,) = db.execute("PRAGMA user_version").fetchone()
    if found > _FORMAT:
        raise ResultsError(f"{path} was written by a newer Laneway (format {found}, and this one knows {_FORMAT}); use "
                           "that one")  # fmt: skip
    if found == 0 and db.execute(SQL["objects"]).fetchone()[0]:
        raise ResultsError(f"{path} is a database of another program; name another file with --results")
    if found == 0 and not write:
        raise ResultsError(f"there are no results in {path}; `laneway eval run` makes them")
    (said,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise sqlite3.DatabaseError(said)


def _made(db: sqlite3.Connection) -> None:
    """The tables of an empty file; those that are there stay."""
    db.execute("PRAGMA journal_mode = WAL").fetchall()
    db.execute("BEGIN IMMEDIATE")
    for name in ("create_result", "create_by_key", "create_call"):
        db.execute(SQL[name])
    db.execute("PRAGMA user_version = 1")
    db.execute("COMMIT")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What SQLite, the system or a body says, as a ResultsError with a remedy. None of them quotes an answer."""
    try:
        yield
    except sqlite3.Error as error:
        damaged = type(error) is sqlite3.DatabaseError
        remedy = ("move it away: a new one is made, and what it held is asked and paid for again" if damaged
                  else "see that its disk has space and that the file and its folder are writable")  # fmt: skip
        raise ResultsError(f"the results {path} cannot be used: {error}; {remedy}") from None
    except msgspec.MsgspecError:
        raise ResultsError(f"the results {path} hold a row that is no result; move the file away") from None
    except OSError as error:
        raise ResultsError(f"the results {path} cannot be opened: {error.strerror}") from None
