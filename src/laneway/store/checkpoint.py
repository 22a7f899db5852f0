"""Checkpoints: what a log was at some moment, signed, in a file that stands somewhere else.

A checkpoint has the form of C2SP tlog-checkpoint: the log's name, its number of records and the root of the Merkle
tree over their hashes, as a signed note. The file is such notes one after another; it is only ever appended to.
"""

from __future__ import annotations

import base64
import errno
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from laneway.errors import LogError, shown
from laneway.store.merkle import Tree
from laneway.store.note import PrivateKey, PublicKey

__all__ = ["Against", "Checkpoint", "Kept", "kept", "read_checkpoints", "read_notes"]

_TAIL = 2**13
_NOTE = re.compile(rb"^(?:(?!\xe2\x80\x94 )[^\n]+\n)+\n(?:\xe2\x80\x94 [^\n]+\n)+", re.M)
_NEWLINES = 5
"""In a checkpoint without extension lines, with one signature."""
_TEXT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\n(?:[^\n]+\n)*")


class Checkpoint(NamedTuple):
    """The log's name, how many records it had, and the root of the tree over them."""

    origin: str
    size: int
    root: bytes

    def signed(self, key: PrivateKey) -> bytes:
        """As a note, ready to be kept."""
        return key.signed(f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n").encode()

    @classmethod
    def opened(cls, note: bytes, key: PublicKey) -> Checkpoint:
        """The checkpoint in a note that `key` signed for the log it is named after. Raises LogError."""
        try:
            text = note.decode()
        except UnicodeDecodeError:
            raise LogError("it is no text") from None
        origin = text.partition("\n")[0]
        if origin != key.name:
            raise LogError(f"it is of another log, `{shown(origin, 60)}`, and not of {key.name}")
        return cls.claimed(key.opened(text))

    @classmethod
    def claimed(cls, text: str) -> Checkpoint:
        """The checkpoint in the text of a note, whoever signed it. Raises LogError."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise LogError("it does not have the lines of a checkpoint")
        return cls(match[1], int(match[2]), base64.b64decode(match[3]))


def read_checkpoints(path: Path, key: PublicKey) -> list[Checkpoint]:
    """Every checkpoint in the file. One at the end that a crash cut off does not count.

    Raises LogError for a file without any, and where one of them is not to be believed.
    """
    return [checkpoint for checkpoint, _ in read_notes(path, key)]


def read_notes(path: Path, key: PublicKey) -> list[tuple[Checkpoint, bytes]]:
    """As `read_checkpoints`, each with its note as it stands there.

    Raises LogError for a file without any, and where one of them is not to be believed.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LogError(f"the checkpoint file {path} cannot be read: {error.strerror}") from None
    found, place = list[tuple[Checkpoint, bytes]](), 0
    while match := _NOTE.match(data, place):
        try:
            found.append((Checkpoint.opened(match[0], key), match[0]))
        except LogError as error:
            raise LogError(f"checkpoint {len(found) + 1} of {path} does not count: {error}") from None
        place = match.end()
    if not _is_torn(data[place:], key):
        raise LogError(f"what follows checkpoint {len(found)} of {path} is no checkpoint")
    if not found:
        raise LogError(f"the file {path} holds no checkpoint: `laneway serve --checkpoint` writes them")
    return found


class Kept:
    """A checkpoint file that this process holds; see `kept`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path, self._file = path, file

    def last(self, key: PublicKey) -> Checkpoint | None:
        """The newest checkpoint, None in an empty file. What a crash left of a newer one is cut off."""
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, end - _TAIL))
        data = self._file.read()
        matches = list(_NOTE.finditer(data))
        rest = data[matches[-1].end() :] if matches else data
        if not _is_torn(rest, key):
            raise LogError(f"the file {self._path} ends with something that is no checkpoint: name another with "
                           "--checkpoint")  # fmt: skip
        if rest:
            self._file.truncate(end - len(rest))
        try:
            return Checkpoint.opened(matches[-1][0], key) if matches else None
        except LogError as error:
            raise LogError(f"the newest checkpoint of {self._path} does not count: {error}; name another file with "
                           "--checkpoint, or the key that signed it") from None  # fmt: skip

    def append(self, note: bytes) -> None:
        """Add a note; it is on disk when this returns, or nothing of it is."""
        end = self._file.seek(0, os.SEEK_END)
        try:
            if self._file.write(note) != len(note):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())
        except OSError:
            with suppress(OSError):
                self._file.truncate(end)
            raise


@contextmanager
def kept(path: Path, *, create: bool) -> Iterator[Kept]:
    """Hold the checkpoint file for one reading and writing. Raises LogError where it cannot be written."""
    flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0)
    try:
        with os.fdopen(os.open(path, flags, 0o644), "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield Kept(path, file)
    except OSError as error:
        raise LogError(f"the checkpoint file {path} cannot be written: {error.strerror}; mount it, make its directory, "
                       "or make room there") from None  # fmt: skip


def _is_torn(rest: bytes, key: PublicKey) -> bool:
    """Whether what stands behind the last checkpoint may be the beginning of one that a crash cut off."""
    start = f"{key.name}\n".encode()
    return (rest.startswith(start) or start.startswith(rest)) and rest.count(b"\n") < _NEWLINES


class Against:
    """Checkpoints held against a log, whose leaves go in from the first on."""

    def __init__(self, checkpoints: Iterable[Checkpoint]) -> None:
        self._roots: dict[int, set[bytes]] = {}
        for checkpoint in checkpoints:
            self._roots.setdefault(checkpoint.size, set()).add(checkpoint.root)
        self._tree = Tree()
        self._fits: list[tuple[int, bool]] = []
        self._compare()

    def add(self, leaf: bytes) -> None:
        """The hash of the next record."""
        self._tree.add(leaf)
        self._compare()

    @property
    def covered(self) -> int:
        """How many records the newest fitting checkpoint covers."""
        return max((size for size, fits in self._fits if fits), default=0)

    def problem(self) -> str | None:
        """What the log, now at its end, has against it."""
        for size, roots in sorted(self._roots.items()):
            if len(roots) > 1:
                return f"two checkpoints disagree: both are of {size} records, and no log has both roots"
        wrong = next((size for size, fits in self._fits if not fits), None)
        if wrong is not None:
            if self.covered > wrong:
                return (f"two checkpoints disagree: this log has the one of {self.covered} records, but not the one of "
                        f"{wrong}, so that neither extends the other")  # fmt: skip
            return (f"the log was written anew: its first {wrong} records are not those that were signed, and the "
                    f"change comes after record {self.covered}")  # fmt: skip
        newest = max(self._roots, default=0)
        if newest > self._tree.size:
            return (f"the log ends at record {self._tree.size}, and {newest} were signed: its newest records were cut "
                    "off, or this is an older copy")  # fmt: skip
        return None

    def _compare(self) -> None:
        roots = self._roots.get(self._tree.size)
        if roots is not None:
            self._fits.append((self._tree.size, self._tree.root() in roots))
