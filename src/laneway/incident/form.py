"""form: what an incident bundle holds: the manifest, which names members by their hashes, and records as they stood."""

from __future__ import annotations

import datetime
from typing import Literal, NamedTuple

import msgspec

from laneway.store.rows import Row

__all__ = [
    "CHECKPOINT",
    "ERASURES",
    "HTML",
    "MANIFEST",
    "MARKDOWN",
    "RECORDS",
    "Line",
    "Manifest",
    "Member",
    "Proved",
    "Stretch",
    "certificate_name",
    "line",
    "policy_name",
    "read_line",
    "read_manifest",
    "read_proved",
    "stretches",
]

MANIFEST = "manifest.json"
RECORDS = "records.jsonl"
CHECKPOINT = "checkpoint.txt"
ERASURES = "erasures.jsonl"
HTML = "summary.html"
MARKDOWN = "summary.md"


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member's SHA-256, in hex, and its length in bytes."""

    sha256: str
    bytes: int


class Stretch(NamedTuple):
    """Records by number, both ends among them."""

    first: int
    last: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the bundle is about, and everything that is in it. `incident` is the version of this form.

    It holds the records `first` to `last` of the log: from the first that was written at `start` or later to the last
    that was written before `end`. `before` and `head` are the hashes of the record before them and of the last one.
    The bodies of `emptied` ones had been erased. `in_force` is the policy of the newest decision before them.
    `missing` are policies whose text the log had not; `uncertified` says of others why they have no certificate.
    The first `signed` records of the log are under the checkpoint, 0 where there is none; `path` is the audit path from
    these records to it, in hex.
    """

    incident: Literal[1] = 1
    laneway: str
    made: datetime.datetime
    start: datetime.datetime
    end: datetime.datetime
    why: str
    first: int
    last: int
    before: str
    head: str
    emptied: tuple[Stretch, ...]
    in_force: str
    missing: tuple[str, ...]
    uncertified: dict[str, str]
    signed: int
    path: tuple[str, ...]
    members: dict[str, Member]


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record with all its columns: `at` in microseconds (UTC), the body as its text, the hash in hex."""

    seq: int
    at: int
    decision: str
    kind: str
    body: str
    hash: str


class Proved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record that says why others are empty: itself, the hash before it, and its audit path, empty where unsigned."""

    record: Line
    before: str
    path: tuple[str, ...]


read_line = msgspec.json.Decoder(Line).decode
"""The record in a line. Raises MsgspecError."""
read_proved = msgspec.json.Decoder(Proved).decode
"""A record of an erasure in a line. Raises MsgspecError."""
read_manifest = msgspec.json.Decoder(Manifest).decode
"""The manifest in its bytes. Raises MsgspecError."""


def line(row: Row) -> Line:
    """A row of the log. A body that is no text was damaged, and shows as such: its hash does not follow."""
    seq, at, decision, kind, body, hash = row
    return Line(seq, at, decision, kind, body.decode(errors="replace"), hash.hex())


def policy_name(hash: str) -> str:
    """The member that is the policy's text."""
    return f"policies/{hash}.yaml"


def certificate_name(hash: str) -> str:
    """The member that is the policy's certificate."""
    return f"certificates/{hash}.json"


def stretches(numbers: list[Stretch], seq: int) -> None:
    """Add a record's number to stretches, the last of which it may continue."""
    if numbers and numbers[-1].last == seq - 1:
        numbers[-1] = Stretch(numbers[-1].first, seq)
    else:
        numbers.append(Stretch(seq, seq))
