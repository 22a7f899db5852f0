"""people: who may review or audit, from a file beside the policy; a token in, the person it belongs to out.

The file holds no token, only each one's SHA-256: a token has 256 random bits, so that nobody guesses it from its hash.
It is read again when it changes: who was removed is out at once. Where it cannot be used, nobody is in.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import secrets
import unicodedata
from collections.abc import Iterable
from functools import partial
from hmac import compare_digest
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec

from laneway.errors import ReviewersError, UsageError, did_you_mean, shown
from laneway.settling import alone
from laneway.source import replace_file

__all__ = ["FILE", "ROLES", "People", "Person", "Role", "alike", "hashed"]

FILE = "laneway.reviewers.json"
"""The file's name, beside the policy."""

Role = Literal["review", "audit"]
ROLES: tuple[Role, ...] = get_args(Role)
"""`review` sees what is held and decides; `audit` sees decisions and never content, and changes nothing."""

_FORMAT = 1
_LONGEST_NAME, _LONGEST_FILE = 100, 2**20
_LONGEST_TOKEN = 200


class Person(NamedTuple):
    """Somebody with a token. `callers` are the names under which they ask for answers themselves."""

    name: str
    role: Role
    callers: tuple[str, ...]
    since: datetime.date


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    role: Role
    callers: tuple[str, ...]
    token: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    since: datetime.date


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    reviewers: tuple[_Row, ...]


_read = msgspec.json.Decoder(_File)


def hashed(token: str) -> str:
    """What the file holds of a token."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def alike(name: str) -> str:
    """A name as it is compared: however it is capitalised, spaced or composed, it is the same one."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).split())


class People:
    """The people of one file; nobody, where there is none. Every question is answered by the file as it is now.

    Each raises ReviewersError where the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, ...] | None = None
        self._rows: tuple[_Row, ...] = ()

    @classmethod
    def load(cls, path: Path) -> People:
        """The people of the file at `path`, which need not be there."""
        people = cls(path)
        people._now()
        return people

    def all(self) -> tuple[Person, ...]:
        """Everybody, in the order in which they were added."""
        return tuple(_person(row) for row in self._now())

    def can_review(self) -> bool:
        """Whether there is anybody who could approve something."""
        return any(row.role == "review" for row in self._now())

    def by_token(self, token: str) -> Person | None:
        """Whose token this is."""
        return self.by_hash(hashed(token)) if len(token) <= _LONGEST_TOKEN else None

    def by_hash(self, hash: str) -> Person | None:
        """Whose token has this `hashed`; takes as long for every answer."""
        found = [row for row in self._now() if compare_digest(row.token, hash)]
        return _person(found[0]) if found else None

    def add(self, name: str, role: Role, callers: Iterable[str], since: datetime.date) -> str:
        """Add somebody; their token, which is kept nowhere. Raises UsageError for a name that is taken or unfit."""
        callers = tuple(dict.fromkeys((name, *callers)))
        for each in callers:
            if not each.strip() or not each.isprintable() or len(each) > _LONGEST_NAME:
                raise UsageError(f"`{shown(each)}` is no name: give 1 to {_LONGEST_NAME} printable characters")
        token = "lwr_" + secrets.token_urlsafe(32)
        with alone(self.path, partial(_in_use, self.path)):
            rows = self._now()
            taken = {alike(caller): row.name for row in rows for caller in row.callers}
            for each in callers:
                if alike(each) in taken:
                    raise UsageError(f"`{shown(each)}` is {shown(taken[alike(each)])} already; "
                                     "remove that one first, or give another name")  # fmt: skip
            self._write((*rows, _Row(name, role, callers, hashed(token), since)))
        return token

    def remove(self, name: str) -> Person:
        """Remove somebody: whoever they were signed in as, they are out. Raises UsageError for an unknown name."""
        with alone(self.path, partial(_in_use, self.path)):
            rows = self._now()
            found = next((row for row in rows if row.name == name), None)
            if found is None:
                near = did_you_mean(name, [row.name for row in rows])
                raise UsageError(f"there is no reviewer `{shown(name)}` in {self.path}{near}")
            self._write(tuple(row for row in rows if row is not found))
        return _person(found)

    def _now(self) -> tuple[_Row, ...]:
        """The rows of the file as it is now."""
        try:
            stamp = _stamp(os.stat(self.path))  # noqa: PTH116  # at every request: a Path would cost more than the call
        except FileNotFoundError:
            self._stamp, self._rows = None, ()
            return ()
        except OSError as error:
            raise _unusable(self.path, f"cannot be read: {error.strerror}") from None
        if stamp != self._stamp:
            self._stamp, self._rows = None, ()
            self._rows, self._stamp = _rows(self.path)
        return self._rows

    def _write(self, rows: tuple[_Row, ...]) -> None:
        data = msgspec.json.format(msgspec.json.encode(_File(_FORMAT, rows)), indent=2)
        replace_file(self.path, data + b"\n", 0o600)


def _rows(path: Path) -> tuple[tuple[_Row, ...], tuple[int, ...]]:
    """The rows of the file and its stamp, both of the same opened file."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_mode & 0o077:
                raise _unusable(path, f"may be read by others (mode {found.st_mode & 0o777:04o}): chmod 600 it")
            read = _read.decode(file.read(_LONGEST_FILE))
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unusable(path, f"is not what `laneway reviewers` writes: {error}") from None
    if read.format != _FORMAT:
        raise _unusable(path, f"has format {read.format}, and this Laneway knows {_FORMAT}: use a newer one")
    for what in ([alike(row.name) for row in read.reviewers], [row.token for row in read.reviewers]):
        if len(set(what)) != len(what):
            raise _unusable(path, "names somebody twice, or gives two the same token: remove one of them")
    return read.reviewers, _stamp(found)


def _person(row: _Row) -> Person:
    return Person(row.name, row.role, row.callers, row.since)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    """What changes when the file does."""
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode


def _unusable(path: Path, why: str) -> ReviewersError:
    return ReviewersError(f"the reviewers file {path} {why}; until then nobody is signed in")


def _in_use(path: Path, lock: Path) -> ReviewersError:
    return ReviewersError(f"the reviewers file {path} is being changed by another command ({lock}); run this again")
