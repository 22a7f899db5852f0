"""heard: how many answers each lane gave since its evidence was measured, and how many of them people rejected.

Counted from the log once anybody has rejected anything, and from then on as answers are given. It can only lower what
evidence is worth: see `rejections`.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from laneway.record import Word
from laneway.rejections import Rejections, Work

__all__ = ["Heard", "Source"]


class Source(Protocol):
    """Where counts come from: the log's Reader."""

    def feedback(self, since: datetime.datetime | None = None) -> Iterator[Word]:
        """What was said of answers given since."""

    def tally(self, since: datetime.datetime | None = None) -> Mapping[Work, int]:
        """How many answers were given since."""


class Heard:
    """The counts, by the time since which they are made. One a server; safe to read from one event loop."""

    def __init__(self) -> None:
        self.version = 0  # counts up with every change of what evidence is worth
        self._since: dict[datetime.datetime, Rejections] = {}

    def listen(self, log: Source, since: Iterable[datetime.datetime]) -> None:
        """Count what the log says since these times; a scan of it only where there are rejections. Blocks."""
        for at in set(since):
            words = list(log.feedback(at))
            if any(not word.entry.accepted for word in words):
                known = self._since.get(at)
                self._since[at] = Rejections.counted(words, known.answers if known else Counter(log.tally(at)))
                self.version += 1

    def gave(self, workload: str | None, lane: str) -> None:
        """One more answer was given."""
        for counts in tuple(self._since.values()):  # a thread may be listening
            if isinstance(counts.answers, Counter):
                counts.answers[workload, lane] += 1
            self.version += bool(counts.rejected.get((workload, lane)))

    def counts(self, workload: str, lane: str, since: datetime.datetime) -> tuple[int, int]:
        """Answers since then, and those of them that stand rejected; (0, 0) where nothing was rejected."""
        counts = self._since.get(since)
        if counts is None:
            return 0, 0
        return counts.answers.get((workload, lane), 0), counts.rejected.get((workload, lane), 0)
