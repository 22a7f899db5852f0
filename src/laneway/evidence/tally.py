"""tally: what one lane did with one workload in a run, counted as results come, and the evidence that is in it.

It holds numbers only, so that it stays small however many samples there are.
"""

from __future__ import annotations

import datetime
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from laneway.evidence.ledger import Bound, Evidence, On
from laneway.evidence.results import Result
from laneway.evidence.statistics.bounds import lower, missing, upper
from laneway.lane import Lane

__all__ = ["Cell", "Standing", "Tally"]


class Cell(NamedTuple):
    """The part of the samples that scores are counted for."""

    set: str
    language: str
    group: str


class Standing(NamedTuple):
    """Where a lane stands: its mean and the lower bound of it; `more` samples are missing for the bar.

    `met` is None where there is no bar; `more` None where the bar is met or no number of samples would do.
    """

    samples: int
    mean: float
    lower: float
    met: bool | None
    more: int | None


@dataclass(slots=True)
class Tally:
    """One lane on one workload; behind the prompt in the file `tried`, or behind what is in force where that is empty.

    `asked` calls were answered in this run, `kept` were on file. `left_out` counts samples that the lane may not see,
    by reason; `open` those that have no answer, by code, with what was said of the first one; `cut_off` answers that
    ended at the cap.
    """

    workload: str
    lane: Lane
    tried: str = ""
    not_evidence: str = ""
    samples: int = 0
    asked: int = 0
    kept: int = 0
    cost: float | None = 0.0
    on: list[On] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    open: dict[str, tuple[int, str]] = field(default_factory=dict)
    refused: int = 0
    cut_off: int = 0
    unscored: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    oldest: datetime.datetime | None = None
    newest: datetime.datetime | None = None
    _scores: dict[Cell, array[float]] = field(default_factory=dict)
    _seconds: array[float] = field(default_factory=lambda: array("d"))

    @property
    def answered(self) -> int:
        """Samples with an answer, refusals included."""
        return len(self._seconds)

    @property
    def done(self) -> int:
        """Samples that this run is through with, whatever came of it."""
        return self.answered + self.left_out.total() + sum(count for count, _ in self.open.values())

    @property
    def unanswered(self) -> int:
        """Samples that the lane may see and that have no answer."""
        return self.samples - self.answered - self.left_out.total()

    @property
    def seconds(self) -> float | None:
        """The median of a call."""
        return median(self._seconds) if self._seconds else None

    @property
    def models(self) -> list[str]:
        """What the lane called itself, most often first; empty for where it did not say."""
        return [name for name, _ in self.reported.most_common()]

    @property
    def lacking(self) -> str:
        """Why this is no evidence, if so."""
        if self.not_evidence:
            return self.not_evidence
        if self.unanswered:
            return f"{self.unanswered} samples have no answer"
        if not self.answered:
            return "the lane may see none of the samples"
        if len(self.reported) > 1:
            names = ", ".join(f"{name or 'nothing'} ({count})" for name, count in self.reported.most_common())
            return f"it answered as more than one model: {names}"
        return ""

    def add(self, result: Result, *, kept: bool) -> None:
        """Count a settled result. One without a score counts as 0 here: that is its most restrictive reading."""
        self.kept += kept
        self.asked += not kept
        self.cost = None if self.cost is None or result.cost is None else self.cost + result.cost
        self.refused += result.answer is None
        self.cut_off += result.finish == "length"
        if result.score is None and result.answer is not None:
            self.unscored[result.unscored] += 1
        self.reported[result.reported] += 1
        self.oldest = result.at if self.oldest is None else min(self.oldest, result.at)
        self.newest = result.at if self.newest is None else max(self.newest, result.at)
        cell = Cell(result.set, result.language or "", result.group or "")
        self._scores.setdefault(cell, array("d")).append(result.score or 0.0)
        self._seconds.append(result.seconds)

    def leave_open(self, code: str, message: str) -> None:
        """Count a sample that got no answer."""
        count, first = self.open.get(code, (0, message))
        self.open[code] = (count + 1, first)

    def scores(self) -> Iterator[float]:
        """Every score."""
        for found in self._scores.values():
            yield from found

    def standing(self, bar: float | None, confidence: float) -> Standing | None:
        """Where the lane stands against the bar; None where nothing was answered. StatisticsError without the extra."""
        scores = list(self.scores())
        if not scores:
            return None
        least = lower(scores, confidence)
        met = None if bar is None else least >= bar
        more = missing(scores, bar, confidence) if bar is not None and not met else None
        return Standing(len(scores), sum(scores) / len(scores), least, met, more)

    def evidence(self, confidence: float) -> Evidence:
        """What the ledger is to hold of it, where nothing is lacking. It is as old as its oldest answer."""
        assert self.oldest is not None
        return Evidence(
            at=self.oldest, workload=self.workload, lane=self.lane.name, model=self.lane.model,
            reported=self.models[0], endpoint=self.lane.url, on=tuple(sorted(self.on, key=lambda on: on.set)),
            confidence=confidence, bounds=self._bounds(confidence), unscored=self.unscored.total() + self.refused,
            left_out=self.left_out.total(), cost=self.cost, seconds=self.seconds or 0.0,
        )  # fmt: skip

    def _bounds(self, confidence: float) -> dict[str, Bound]:
        """The bounds of all samples, of each language, group and both, and the same of each set; the whole first."""
        parts: dict[str, array[float]] = {"": array("d")}
        for cell, scores in sorted(self._scores.items()):
            both = f"{cell.language}/{cell.group}" if cell.language and cell.group else ""
            group = f"/{cell.group}" if cell.group else ""
            names = dict.fromkeys(("", cell.language, group, both))
            for name in (*names, *(f"{name}#{cell.set}" for name in names)):
                parts.setdefault(name, array("d")).extend(scores)
        return {name: _bound(scores, confidence) for name, scores in parts.items()}


def _bound(scores: Sequence[float], confidence: float) -> Bound:
    mean = sum(scores) / len(scores)
    low, high = lower(scores, confidence), upper(scores, confidence)
    return Bound(len(scores), mean, min(low, mean), max(high, mean))
