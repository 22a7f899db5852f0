"""following: the log's chain from one record to the next, as long as each follows from the one before."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from laneway.record import Erased
from laneway.store.chain import SQL, genesis, link
from laneway.store.cleared import Cleared

__all__ = ["BROKEN", "DAMAGE", "BrokenLog", "Following"]

_NEWEST = 2**63 - 1
_erased = msgspec.json.Decoder(Erased)

DAMAGE = (sqlite3.Error, msgspec.MsgspecError, UnicodeDecodeError, OverflowError, TypeError)
"""What reading a damaged file can raise: SQLite's own words, or values no writer of ours has put there."""


class BrokenLog(Exception):
    """Where the chain breaks; becomes a Verification's `problem`."""


BROKEN = (BrokenLog, *DAMAGE)
"""What following the chain raises where it does not hold, or cannot be read."""


class Following:
    """What follows the chain of a log, over one connection that only reads."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db

    def _chain(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """The number and hash of record `after` and of every one behind it, as long as each follows from the last."""
        with self._snapshot():
            yield from self._links(after)

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All of it as it is now: what is emptied meanwhile, and the record that says so, are both still to come."""
        if self._db.in_transaction:
            yield
            return
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(sqlite3.Error):
                self._db.rollback()

    def _links(self, after: int) -> Iterator[tuple[int, bytes]]:
        salt: tuple[bytes] | None = self._db.execute(SQL["salt"]).fetchone()
        if salt is None:
            raise BrokenLog("the log's salt is gone: no link can be checked")
        expected, head, cleared = after, genesis(salt[0]), self._cleared()
        if after:
            start: tuple[bytes] | None = self._db.execute(SQL["hash_of"], {"seq": after}).fetchone()
            if start is None:
                raise BrokenLog(f"record {after} is missing")
            (head,) = start
        yield expected, head
        for seq, at, decision, kind, body, hash, typed in self._db.execute(SQL["chain"], {"after": after}):
            expected += 1
            if not typed:
                raise BrokenLog(f"{_named(seq, decision)} holds a value of another type")
            if seq != expected:
                raise BrokenLog(f"record {expected} is missing, before {_named(seq, decision)}")
            wrong = None
            if not body:
                wrong = cleared.problem((seq, at, decision, kind, hash), head)
            elif cleared.holds(seq):
                wrong = "has a body, and a record says that it was emptied"
            elif hash != link(head, seq, at, decision, kind, body):
                wrong = "was changed: its hash does not follow"
            if wrong is not None:
                raise BrokenLog(f"{_named(seq, decision)} {wrong}")
            head = hash
            yield seq, head

    def _cleared(self) -> Cleared:
        """What was emptied; what says so and was changed itself shows where the chain gets there."""
        found: list[tuple[int, int, Erased]] = []
        for seq, at, body in self._db.execute(SQL["erased"], {"seq": 0, "since": 0, "page": _NEWEST}):
            with suppress(msgspec.MsgspecError):
                found.append((seq, at, _erased.decode(body)))
        return Cleared(found)

    def _check_policies(self) -> None:
        for hash, text in self._db.execute(SQL["policies"]):
            if hashlib.sha256(text).hexdigest().encode() != hash:
                raise BrokenLog(f"the text of policy {hash.decode(errors='replace')} was changed")

    def _check_file(self) -> None:
        (said,) = self._db.execute(SQL["integrity"]).fetchone()
        if said != "ok":
            raise BrokenLog(f"SQLite finds the file damaged: {' '.join(said.split())}")


def _named(seq: int, decision: object) -> str:
    id = decision.decode(errors="replace") if isinstance(decision, bytes) else decision
    return f"record {seq} (decision {id})"
