"""ledger: what each lane has shown on each workload, as JSON Lines beside the policy.

It is text, so that it is read in review, kept with the policy and deployed with it. Each line holds a hash of itself
and of the line before it, so that a line that was changed, moved or left out between others shows. Nothing is ever
half-written: the file is replaced in one step.
"""

from __future__ import annotations

import datetime
import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from laneway.errors import LanewayError
from laneway.source import replace_file

__all__ = ["FILE", "Bound", "Evidence", "LedgerError", "On", "append", "parse", "read"]

FILE = "evidence.jsonl"
"""The ledger's name, beside the policy."""

_MODE = 0o644
_MOST_BYTES = 100_000_000


class LedgerError(LanewayError):
    """The ledger cannot be read or does not follow from itself. Nothing in it counts then."""


class Bound(msgspec.Struct, frozen=True):
    """The mean of so many scores, and what it surely is at least and at most; all 0..1."""

    samples: int
    mean: float
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not (self.samples >= 0 and 0 <= self.lower <= self.mean <= self.upper <= 1):
            raise ValueError("a bound needs 0 <= lower <= mean <= upper <= 1")


class On(msgspec.Struct, frozen=True):
    """A set that was run: its name, the hash of its samples, that of its file, and that of the system prompt's text.

    `prompt` is empty where there was none; `prompt_file` is the one that the set itself names, if any.
    """

    set: str
    hash: str
    file_hash: str
    prompt: str = ""
    prompt_file: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What one lane has shown on one workload, over all the sets that were run.

    `model` is the policy's name for it, `reported` what it calls itself. `bounds` hold at `confidence`, for all samples
    (``""``), a language (``sv``), a group (``/lease``), both (``sv/lease``), and any of these of one set
    (``#risk-flags``, ``sv#risk-flags``). A sample without a score counts as 0; one that the lane may not see
    (`left_out`) not at all. `cost` is the money of all calls, None where a price is unknown; `seconds` the median of a
    call.
    """

    at: datetime.datetime
    workload: str
    lane: str
    model: str
    reported: str
    endpoint: str
    on: tuple[On, ...]
    confidence: float
    bounds: dict[str, Bound]
    unscored: int = 0
    left_out: int = 0
    cost: float | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if not 0.5 <= self.confidence < 1 or "" not in self.bounds:
            raise ValueError("evidence needs a confidence from 0.5 to below 1, and a bound for all samples")
        if self.at.tzinfo is None or not 2000 < self.at.year < 3000:
            raise ValueError("evidence needs a time of this millennium, with its zone")


class _Line(msgspec.Struct, frozen=True):
    """One entry. `hash` is the SHA-256 of `before`, which is the hash of the line before, and of the entry as JSON."""

    before: str
    evidence: Evidence
    hash: str

    @classmethod
    def of(cls, before: str, evidence: Evidence) -> _Line:
        """The line that follows the one whose hash is `before`."""
        read = msgspec.json.decode(msgspec.json.encode(evidence), type=Evidence)  # as a reader will have it: 1 is 1.0
        text = msgspec.json.encode(read, order="deterministic")
        return cls(before, read, hashlib.sha256(before.encode() + text).hexdigest())


_decode = msgspec.json.Decoder(_Line).decode
_GENESIS = hashlib.sha256(b"laneway evidence 1").hexdigest()


def read(path: Path) -> tuple[Evidence, ...]:
    """The ledger's entries, oldest first; none where there is no such file. Raises LedgerError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > _MOST_BYTES:
        raise LedgerError(f"{path} is longer than {_MOST_BYTES} bytes; begin a new one beside it")
    return parse(data, str(path))


def parse(data: bytes, file: str) -> tuple[Evidence, ...]:
    """The entries in a ledger's bytes; `file` names it in errors. Raises LedgerError."""
    entries, before = list[Evidence](), _GENESIS
    lines = data.split(b"\n")
    if lines.pop():
        raise LedgerError(f"{file}:{len(lines) + 1}: the last line has no end, so that part of it is missing{_REMEDY}")
    for number, line in enumerate(lines, 1):
        try:
            found = _decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise LedgerError(f"{file}:{number}: this is no entry of a ledger ({error}){_REMEDY}") from None
        if found.before != before:
            raise LedgerError(f"{file}:{number}: this line does not follow from the one before it: one of them was "
                              f"changed, moved or left out{_REMEDY}")  # fmt: skip
        if found.hash != _Line.of(before, found.evidence).hash:
            raise LedgerError(f"{file}:{number}: this line was changed: its hash does not fit{_REMEDY}")
        entries.append(found.evidence)
        before = found.hash
    return tuple(entries)


_REMEDY = (
    "; restore the file from its history, or move it away and run `laneway eval run`, which pays for no answer twice"
)


def append(path: Path, *entries: Evidence) -> None:
    """Add entries at the end, all or none of them. Raises LedgerError; OSError where it cannot be written."""
    path = path.resolve()
    with _alone(path):
        read(path)
        data = path.read_bytes() if path.exists() else b""
        before = _decode(data.rsplit(b"\n", 2)[-2]).hash if data else _GENESIS
        for entry in entries:
            line = _Line.of(before, entry)
            before = line.hash
            data += msgspec.json.encode(line, order="deterministic") + b"\n"
        replace_file(path, data, _MODE)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One writer at a time; the folder is locked, as the file is replaced."""
    with (path.parent / f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
