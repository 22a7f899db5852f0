"""links: whether records follow from each other, while they are read for something else.

As `laneway log verify` does, but it goes on behind a break: what is damaged is said, and the rest is counted. A body
that was emptied is in order where an `Erased` entry says so.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from laneway.record import Erased
from laneway.store.chain import link
from laneway.store.rows import Row

__all__ = ["Links"]

_erased = msgspec.json.Decoder(Erased).decode


class Links(msgspec.Struct):
    """What is wrong with the chain so far: `first` in words, and how many places in `broken`.

    `seq` and `head` are the number and hash of the last record; without a head the next one is believed.
    """

    seq: int
    head: bytes | None
    first: str = ""
    broken: int = 0
    emptied: list[tuple[int, int]] = []
    explained: list[tuple[int, int]] = []

    def check(self, row: Row) -> None:
        """The next record."""
        seq, at, decision, kind, body, hash = row
        if seq != self.seq + 1:
            self._say(f"record {self.seq + 1} is missing, before record {seq} (decision {decision})")
        elif not body:
            self._empty(seq)
        elif self.head is not None and link(self.head, seq, at, decision.encode(), kind.encode(), body) != hash:
            self._say(f"record {seq} (decision {decision}) was changed: its hash does not follow")
        if kind == "erased" and body:
            with suppress(msgspec.MsgspecError):  # what cannot be read explains nothing
                self.explained += [(stretch.first, stretch.last) for stretch in _erased(body).records]
        self.seq, self.head = seq, hash

    def add(self, later: Links) -> None:
        """What was found of the records behind these."""
        self.seq, self.head = later.seq, later.head
        self.first, self.broken = self.first or later.first, self.broken + later.broken
        self.emptied = self.emptied + later.emptied
        self.explained = self.explained + later.explained

    @property
    def problem(self) -> str:
        """What is wrong, in words; empty where nothing is."""
        left = self.emptied
        for start, end in self.explained:
            before = [(first, min(last, start - 1)) for first, last in left]
            behind = [(max(first, end + 1), last) for first, last in left]
            left = sorted({part for part in (*before, *behind) if part[0] <= part[1]})
        if self.first or not left:
            return self.first
        return f"records {left[0][0]} to {left[0][1]} were emptied, and nothing on record says so"

    def _say(self, problem: str) -> None:
        self.broken += 1
        self.first = self.first or problem

    def _empty(self, seq: int) -> None:
        if self.emptied and self.emptied[-1][1] == seq - 1:
            self.emptied[-1] = self.emptied[-1][0], seq
        else:
            self.emptied.append((seq, seq))
