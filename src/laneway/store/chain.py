"""The chain: what one row of the log is and how its hash follows from the row before.

Shared by the writer and the reader. Entries come in as values and go out as `Line`s, ready to be linked.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import msgspec

from laneway.errors import LogError, shown
from laneway.record import Entry

__all__ = ["SCHEMA", "SQL", "VERSION", "Line", "genesis", "line", "link", "newer"]

SCHEMA = re.split(r"^-- format \d+\n", Path(__file__).with_name("schema.sql").read_text(), flags=re.M)[1:]
"""What brings a file from each format to the next, from an empty one on."""
VERSION = len(SCHEMA)
SQL = dict(re.findall(r"^-- name: (\w+)\n(.+?;)$", Path(__file__).with_name("queries.sql").read_text(), re.M | re.S))

_encode = msgspec.json.Encoder(order="deterministic").encode


class Line(NamedTuple):
    """An entry that has no place in the chain yet. `at` is UTC in microseconds."""

    at: int
    decision: str
    kind: str
    body: bytes


def line(entry: Entry, at: int) -> Line:
    """`entry` as a line, stamped `at`. Encoded here, so that a bad entry cannot spoil others' batch."""
    try:
        body = _encode(entry)
    except (TypeError, ValueError, OverflowError):
        # Without the cause: an encoding error quotes the text it failed on.
        raise LogError(f"an entry of decision {shown(entry.id)} cannot be written as JSON") from None
    if not entry.id.isprintable():
        raise LogError(f"decision id {shown(entry.id)} holds a character that cannot be printed")
    return Line(at, entry.id, str(entry.__struct_config__.tag), body)


def genesis(salt: bytes) -> bytes:
    """Where the chain begins: bound to the salt, so that a changed salt breaks the first link."""
    return hashlib.sha256(b"laneway log 1\0" + salt).digest()


def link(previous: bytes, seq: int, at: int, *texts: bytes) -> bytes:
    """The hash of a row; `texts` are decision, kind and body.

    0x00 separates, because it is in none of them: ids are printable, kinds are ours, JSON escapes it.
    """
    return hashlib.sha256(b"\0".join((b"%b%d" % (previous, seq), b"%d" % at, *texts))).digest()


def newer(path: Path, found: int) -> LogError:
    """What to say of a log that a later Laneway wrote."""
    known = f"(format {found}, and this one knows {VERSION})"
    return LogError(f"the log {path} was written by a newer Laneway {known}; use that one")
