"""cleared: records whose time was over, so that their bodies are gone and their hashes stay in the chain.

An emptied record can no longer prove that it follows from the one before. What stands in its place is the Erased entry
that was written with it: the stretch of records, the hash of the one before, and a hash over what is left of each.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Sequence

from laneway.policy import KEPT_DAYS
from laneway.record import Erased, Stretch

__all__ = ["KEPT", "Cleared", "Left", "stretches"]

_DAY = 86_400_000_000

KEPT = frozenset({"shut", "lever", "erased"})
"""Kinds that are never emptied: what they say still holds, and it is of nobody's request."""

Left = tuple[int, int, bytes, bytes, bytes]
"""What is left of a record: its number, when (microseconds, UTC), decision, kind and hash."""


def stretches(rows: Sequence[tuple[Left, bytes]]) -> tuple[Stretch, ...]:
    """Records in order, each with the hash of the one before, as stretches without a gap."""
    made: list[Stretch] = []
    digest, first, begin = hashlib.sha256(), 0, b""
    for i, (left, before) in enumerate(rows):
        if i == 0 or left[0] != rows[i - 1][0][0] + 1:
            digest, first, begin = hashlib.sha256(), left[0], before
        digest.update(_line(left))
        if i + 1 == len(rows) or rows[i + 1][0][0] != left[0] + 1:
            made.append(Stretch(first, left[0], begin.hex(), digest.hexdigest()))
    return tuple(made)


class Cleared:
    """The stretches that the log says were emptied, while its records are followed in order.

    `erased` are the entries that say so, each with its record's number and time (microseconds, UTC).
    """

    def __init__(self, erased: Iterable[tuple[int, int, Erased]]) -> None:
        self._all = sorted((stretch, seq, at) for seq, at, entry in erased for stretch in entry.records)
        self._digest = hashlib.sha256()
        self._begun = 0

    def holds(self, seq: int) -> bool:
        """Whether the record was emptied, by what the log says."""
        return self._of(seq) is not None

    def problem(self, left: Left, before: bytes) -> str | None:
        """What is wrong with a record without a body, that stands behind one with the hash `before`."""
        found = self._of(left[0])
        if found is None:
            return "has no body, and no record says that it was emptied"
        stretch, said, day = found
        if said <= stretch.last or left[1] > day - KEPT_DAYS * _DAY:
            return f"was emptied before it had been kept for {KEPT_DAYS} days"
        if left[0] == stretch.first:
            if before.hex() != stretch.before:
                return "does not stand behind the record that it was emptied behind"
            self._digest, self._begun = hashlib.sha256(), stretch.first
        self._digest.update(_line(left))
        if left[0] == stretch.last and self._begun == stretch.first and self._digest.hexdigest() != stretch.digest:
            return f"or one from {stretch.first} on was changed after it was emptied"
        return None

    def _of(self, seq: int) -> tuple[Stretch, int, int] | None:
        at = bisect.bisect_right(self._all, seq, key=lambda found: found[0].first) - 1
        return self._all[at] if at >= 0 and seq <= self._all[at][0].last else None


def _line(left: Left) -> bytes:
    seq, at, decision, kind, hash = left
    return b"%d\0%d\0%b\0%b\0%b" % (seq, at, decision, kind, hash)
