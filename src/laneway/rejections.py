"""rejections: what was said of answers in, how many of them may still be good out. Pure.

Words can only lower what counts for a lane. An answer that nobody spoke of counts as good, an accepted one counts as
much as that and no more, and one standing rejection makes an answer a bad one. So whoever praises gains nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from laneway.evidence.statistics.numbers import check_confidence
from laneway.record import Feedback, Source, Word

__all__ = ["Rejections", "Work", "most_good", "rejected", "standing"]

Work = tuple[str | None, str]
"""A workload, None for work of no workload, and the lane that did it."""

_HALVINGS = 100


def standing(words: Iterable[Feedback]) -> dict[tuple[Source, str], Feedback]:
    """The last word of each who spoke; `words` are of one answer, oldest first."""
    return {(word.source, word.by): word for word in words}


def rejected(words: Iterable[Feedback]) -> bool:
    """Whether anybody's last word on the answer rejects it."""
    return not all(word.accepted for word in standing(words).values())


def most_good(answers: int, rejected: int, confidence: float) -> float:
    """The highest share of good answers, 0 to 1, that `rejected` of `answers` still allow at `confidence`.

    One-sided. By Chernoff's inequality, which is a little wider than the exact bound of Clopper and Pearson and needs
    no library. 1.0 where nothing was rejected. Raises StatisticsError for a confidence outside 0.5..1.
    """
    check_confidence(confidence)
    if answers <= 0 or rejected <= 0:
        return 1.0
    share, allowed = min(rejected / answers, 1.0), -math.log(1 - confidence) / answers
    low, high = 0.0, share  # the rejected share is proved to be above `low`
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _divergence(share, middle) > allowed:
            low = middle
        else:
            high = middle
    return 1.0 - low


def _divergence(seen: float, true: float) -> float:
    """Kullback and Leibler's, of a coin that was seen to fall so often from one that truly does; 0 < true <= seen."""
    if true == 0:
        return math.inf
    rest = (1 - seen) * math.log((1 - seen) / (1 - true)) if seen < 1 else 0.0
    return seen * math.log(seen / true) + rest


class Rejections(NamedTuple):
    """Answers given, and how many of them stand rejected, by workload and lane."""

    answers: Mapping[Work, int]
    rejected: Mapping[Work, int]

    @classmethod
    def counted(cls, words: Iterable[Word], answers: Mapping[Work, int]) -> Rejections:
        """From the log: `Reader.feedback` and `Reader.tally` since the same date, read in this order."""
        spoken: dict[str, list[Feedback]] = {}
        works: dict[str, Work] = {}
        for word in words:
            spoken.setdefault(word.entry.id, []).append(word.entry)
            works[word.entry.id] = word.workload, word.lane
        return cls(answers, Counter(works[id] for id, said in spoken.items() if rejected(said)))

    def most_good(self, workload: str | None, lane: str, confidence: float) -> float:
        """The highest share of the lane's answers on the workload that can be good; see `most_good`."""
        work = workload, lane
        return most_good(self.answers.get(work, 0), self.rejected.get(work, 0), confidence)
