"""content: words that were kept on purpose, encrypted, in a file of their own beside the log.

What waits for a person, and what the policy captures. The log never needs any of it: each piece can be erased, and is
gone then from the file and its write-ahead log. AES-256-GCM is done by the `cryptography` package, the `review` extra.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from laneway.errors import ContentError, UsageError

__all__ = ["KEY_VARIABLE", "SCHEMA", "SQL", "Content", "Part", "Piece", "place"]

KEY_VARIABLE = "LANEWAY_CONTENT_KEY"
"""The environment variable that names another file for the key."""

Part = Literal["request", "answer", "edit", "extract", "comment", "released"]
_Why = Literal["review", "capture"]

_TEXT = Path(__file__).with_name("content.sql").read_text()
SCHEMA = {"content": _TEXT[: _TEXT.index("-- name:")]}
SQL = dict(re.findall(r"^-- name: (\w+)\n(.+?;)$", _TEXT, re.M | re.S))
_NONCE, _KEY = 12, 32
_BUSY_SECONDS = 5.0
_PROOF = b"laneway content 1"


class _Cipher(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated: bytes | None) -> bytes: ...


class Piece(NamedTuple):
    """One piece: whose it is, what, which version (from 1), and until when it is kept (UTC, microseconds)."""

    decision: str
    part: Part
    version: int
    why: _Why
    until: int


def place(log: Path) -> Path:
    """Where the content beside a log is."""
    return log.with_suffix(".content.db")


class Content:
    """The pieces beside one log. Every call blocks until it is on disk, and may come from any thread.

    Calls raise ContentError where the file fails, or a piece was changed or moved.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, cipher: _Cipher, wrong: type[Exception]) -> None:
        self.path, self._db, self._cipher, self._wrong = path, db, cipher, wrong
        self._turn = threading.Lock()
        self._unscrubbed = False

    @classmethod
    def open(cls, log: Path) -> Content:
        """Open or create the content beside `log`, and its key. Raises ContentError, UsageError without the extra."""
        path = place(log)
        key = Path(os.environ.get(KEY_VARIABLE) or log.with_suffix(".content.key"))
        try:
            cipher, wrong = _cipher(_key(key, new=not path.exists()))
            path.touch(mode=0o600)
            db = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode = WAL").fetchall()
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA secure_delete = ON").fetchall()
            db.executescript(SCHEMA["content"])
        except (OSError, sqlite3.Error) as error:
            raise ContentError(f"the kept content {path} cannot be opened: {error}") from None
        made = cls(path, db, cipher, wrong)
        made._prove(key)
        made.scrub()  # of what was erased right before a crash
        return made

    def close(self) -> None:
        """Let go of the file."""
        with self._turn, suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._db.close()

    def put(self, decision: str, part: Part, data: bytes, *, why: _Why, until: int, subject: str = "") -> int:
        """Keep `data` as the newest version of the part; which one that is."""
        name = {"decision": decision, "part": part}
        with self._transaction() as db:
            (last,) = db.execute(SQL["last"], name).fetchone()
            nonce, version = secrets.token_bytes(_NONCE), int(last) + 1
            sealed = nonce + self._cipher.encrypt(nonce, data, _name(decision, part, version))
            made = {"version": version, "why": why, "subject": subject, "until": until, "sealed": sealed}
            db.execute(SQL["put"], name | made)
            return version

    def get(self, decision: str, part: Part, now: int = 0) -> bytes | None:
        """The newest version of the part; None where there is none (any more), or its time is over at `now`."""
        return next(iter(self.versions(decision, part, now)[-1:]), None)

    def versions(self, decision: str, part: Part, now: int = 0) -> list[bytes]:
        """All versions of the part, oldest first."""
        with self._reading() as db:
            rows = db.execute(SQL["versions"], {"decision": decision, "part": part, "now": now}).fetchall()
        return [self._opened(decision, part, version, sealed) for version, sealed in rows]

    def pieces(self, why: _Why | None = None) -> list[Piece]:
        """What is kept, without the words."""
        with self._reading() as db:
            rows = db.execute(SQL["pieces"], {"why": why}).fetchall()
        return [Piece(*row) for row in rows]

    def shorten(self, decision: str, part: Part, until: int) -> None:
        """Keep the part no longer than until then."""
        with self._transaction() as db:
            db.execute(SQL["shorten"], {"decision": decision, "part": part, "until": until})

    def erase(self, decision: str, *, but: Part = "comment") -> int:
        """Erase what is kept of a decision for its review, except comments and the newest version of one part.

        How many pieces that were.
        """
        return self._erased("erase_review", decision=decision, but=but)

    def erase_subject(self, subject: str) -> int:
        """Erase what is kept about a subject (its salted hash); how many pieces that were."""
        return self._erased("erase_subject", subject=subject)

    def erase_due(self, now: int) -> int:
        """Erase the pieces whose time is over; how many that were."""
        return self._erased("erase_due", now=now)

    def _erased(self, what: str, **values: object) -> int:
        with self._transaction() as db:
            count = db.execute(SQL[what], values).rowcount
        if count or self._unscrubbed:
            self._unscrubbed = not self.scrub()
        return count

    def scrub(self) -> bool:
        """Have the write-ahead log forget what was erased; False while a reader elsewhere holds on to it."""
        with self._reading() as db:
            busy, *_ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def _prove(self, key: Path) -> None:
        """Whether the key is the one that the file was begun with."""
        with self._transaction() as db:
            nonce = secrets.token_bytes(_NONCE)
            proof = nonce + self._cipher.encrypt(nonce, _PROOF, b"proof")
            db.execute(SQL["put_proof"], {"proof": proof})
            (kept,) = db.execute(SQL["proof"]).fetchone()
        try:
            self._cipher.decrypt(kept[:_NONCE], kept[_NONCE:], b"proof")
        except self._wrong:
            raise ContentError(f"the key {key} does not open {self.path}: name the file of its own key in "
                               f"{KEY_VARIABLE}, or move {self.path.name} away to begin anew") from None  # fmt: skip

    def _opened(self, decision: str, part: Part, version: int, sealed: bytes) -> bytes:
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _name(decision, part, version))
        except self._wrong:
            raise ContentError(f"the {part} of decision {decision} in {self.path} was changed or moved, or is "
                               "another key's; it is not used") from None  # fmt: skip

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            finally:
                with suppress(sqlite3.Error):
                    db.rollback()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._turn:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise ContentError(f"the kept content {self.path} failed: {error}") from None


def _name(decision: str, part: Part, version: int) -> bytes:
    return f"{decision}\0{part}\0{version}".encode()


def _key(path: Path, *, new: bool) -> bytes:
    """The key in the file; a new one only where nothing was encrypted yet."""
    if new and not path.exists():
        made = secrets.token_bytes(_KEY)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        return made
    if not path.exists():
        raise ContentError(f"there is no key at {path}, and without it what is kept cannot be read: put it back, or "
                           f"name its file in {KEY_VARIABLE}")  # fmt: skip
    if path.stat().st_mode & 0o077:
        raise ContentError(f"the key {path} can be read by others: `chmod 600 {path}`")
    key = path.read_bytes()
    if len(key) != _KEY:
        raise ContentError(f"the key {path} has {len(key)} bytes and not {_KEY}: it is none, or was cut off")
    return key


def _cipher(key: bytes) -> tuple[_Cipher, type[Exception]]:
    try:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # an extra
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            "what is kept for people is encrypted with the package `cryptography`, which is not installed here: "
            "install Laneway with its extra `review`, as in `pip install 'laneway[review]'`"
        ) from None
    return AESGCM(key), InvalidTag
