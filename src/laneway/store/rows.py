"""rows: the log's records as they stand there, by the page, for what counts them all.

Owns one read-only connection, as the Reader does; nothing is decoded here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from laneway.store.chain import genesis
from laneway.store.reader import Reader

__all__ = ["Row", "Rows"]

Row = tuple[int, int, str, str, bytes, bytes]
"""A record: its number, when it was written (microseconds, UTC), decision, kind, body and hash."""

_PAGE = 256
_MARGIN = 2048
"""Records by which requests of the same moment may stand before each other."""


class Rows:
    """The records of a log. Close it after use."""

    def __init__(self, path: Path) -> None:
        self.reader = Reader.open(path)

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()

    def last(self) -> int:
        """The number of the newest record; 0 where there is none."""
        return int(self.reader.ask("last_seq")[0][0])

    def before(self, moment: int) -> int:
        """The number of a record before every one of `moment` (microseconds) or later, as far as the clock went on."""
        low, high = 0, self.last()
        while high - low > _MARGIN:
            middle = (low + high) // 2
            found = self.near(middle, 1)
            low, high = (middle, high) if found and found[0][1] < moment else (low, middle)
        return max(0, low - _MARGIN)

    def head(self, seq: int) -> bytes | None:
        """The hash of record `seq`, or what the chain begins with for 0; None where there is none."""
        found = self.reader.ask("hash_of", seq=seq) if seq else self.reader.ask("salt")
        return None if not found else bytes(found[0][0]) if seq else genesis(found[0][0])

    def after(self, seq: int) -> Iterator[list[Row]]:
        """Every record behind number `seq`, by the page: an open query would keep the write-ahead log growing."""
        while True:
            page: list[Row] = self.reader.ask("records", seq=seq, page=_PAGE)
            if page:
                yield page
                seq = page[-1][0]
            if len(page) < _PAGE:
                return

    def near(self, seq: int, most: int) -> list[Row]:
        """At most so many records behind number `seq`."""
        found: list[Row] = self.reader.ask("records", seq=seq, page=most)
        return found

    def of(self, decision: str) -> list[Row]:
        """The records of one decision, in their order."""
        found: list[Row] = self.reader.ask("records_of", decision=decision)
        return found
