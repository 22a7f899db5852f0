"""kept: the counts of a log by the hour, in memory and in a file beside it, for pages that cannot wait for a scan.

What is there is brought up with what the log holds since, and never trusted against it: the file is used only where its
last record's hash is that of the log, and where this version of Laneway wrote it; else the log is read anew. It may be
deleted at any time. `laneway review` does not use it.
"""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from pathlib import Path

import msgspec

from laneway import __version__
from laneway.errors import LogError
from laneway.source import replace_file
from laneway.store.rows import Rows
from laneway.weekly.frame import HOUR, Frame
from laneway.weekly.links import Links
from laneway.weekly.reading import policies, reviewed
from laneway.weekly.scan import Found, Scan
from laneway.weekly.scanned import scanned
from laneway.weekly.tally import Tally
from laneway.weekly.value import Review

__all__ = ["Kept", "hour"]

_FORMAT = f"laneway {__version__} summary 1"
_FAR = 50_000
"""From so many records behind on, other processes read them."""
_OLD = 24 * 92
"""Hours that are kept."""
_HOURS = {"24h": 24, "7d": 7 * 24, "30d": 30 * 24}


class _File(msgspec.Struct, array_like=True):
    format: str
    found: Found


_decode = msgspec.msgpack.Decoder(_File).decode


def hour(at: int) -> int:
    """The slice of a moment: hours since 1970."""
    return at // HOUR


class Kept:
    """The counts of the log at `log`. Close it after use; calls may come from several threads."""

    def __init__(self, log: Path) -> None:
        self.log, self.file = log, log.with_suffix(".summary")
        self._turn = threading.Lock()
        self._rows = Rows(log)
        self._policy = policies(self._rows)
        self._scan = self._of(self._loaded() or Found(Links(0, self._rows.head(0))))
        self._made: dict[str, tuple[int, int, Review]] = {}

    def close(self) -> None:
        """Keep what was counted, and let go of the log."""
        with self._turn, closing(self._rows):
            self._save()

    def bring_up(self) -> None:
        """Count what the log holds since. Long where it was never counted: at the start, in a thread of its own."""
        with self._turn:
            self._bring_up()

    def review(self, since: str, now: int) -> Review:
        """The review of the last `24h`, `7d` or `30d` up to the end of this hour; `now` in microseconds since 1970.

        Raises KeyError for another time, LogError where the log cannot be read.
        """
        with self._turn:
            self._bring_up()
            until, hours, seq = (hour(now) + 1) * HOUR, _HOURS[since], self._scan.found.links.seq
            made = self._made.get(since)
            if made is None or made[:2] != (until, seq):
                frame = Frame.of(until - hours * HOUR, until, compared=True)
                made = self._made[since] = until, seq, self._reviewed(frame, since)
            return made[2]

    def _of(self, found: Found) -> Scan:
        return Scan(found, hour, self._rows.of)

    def _bring_up(self) -> None:
        found, last = self._scan.found, self._rows.last()
        if last - found.links.seq > _FAR:
            found.add(scanned(self.log, hour, found.links.seq, nice=True))
            self._scan = self._of(found)  # what is under way is looked up
            self._save()
        for page in self._rows.after(found.links.seq):
            self._scan.feed(page)

    def _reviewed(self, frame: Frame, since: str) -> Review:
        found, slices = self._scan.found, dict[int, Tally]()
        for index in sorted(found.tallies):
            at = frame.slice(index * HOUR)
            if at is not None:
                slices.setdefault(at, Tally()).add(found.tallies[index])
        return reviewed(msgspec.structs.replace(found, tallies=slices), frame, since, self._policy)

    def _loaded(self) -> Found | None:
        with suppress(OSError, msgspec.MsgspecError, LogError):
            kept = _decode(self.file.read_bytes())
            links = kept.found.links
            if kept.format == _FORMAT and links.seq and links.head == self._rows.head(links.seq):
                return kept.found
        return None

    def _save(self) -> None:
        found = self._scan.found
        for old in [index for index in found.tallies if index < hour(found.latest) - _OLD]:
            del found.tallies[old]
        with suppress(OSError):  # it is only ever a short cut
            replace_file(self.file, msgspec.msgpack.encode(_File(_FORMAT, found)), 0o600)
