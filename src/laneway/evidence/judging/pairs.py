"""pairs: two lanes' answers to the same samples in, which of them a judge prefers out. No scorer, as it grades nothing.

Each pair is asked in both orders. A judge whose preferences go with the place, in this run or at its calibration, is
refused, and its preferences with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from laneway.errors import LaneError
from laneway.evidence.judging.asking import Ask, Author, abreast
from laneway.evidence.judging.calibration import Calibration
from laneway.evidence.judging.rubric import kin
from laneway.evidence.judging.swap import Flips, Outcome, Pair, Placed, flips_of, placed
from laneway.evidence.statistics.paired import Comparison, compare

__all__ = ["Preferences", "preferred"]

_SCORES: dict[Outcome, tuple[float, float]] = {"one": (1, 0), "two": (0, 1), "tie": (0.5, 0.5), "position": (0.5, 0.5)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What one judge prefers, pair by pair in `outcomes` (None where it could not be asked), and in sum.

    `one`, `two` are wins that survived the swap, `tie` what the judge called one in both orders, `position` what did
    not survive; an `unclear` pair counts nowhere. `comparison` is the second against the first, wins as 1 and all ties
    as a half; None where the judge is `refused`, which says why, or nothing was clear.
    """

    judge: str
    outcomes: tuple[Outcome | None, ...] = ()
    flips: Flips = field(default=Flips(0, 0, 0, 0))
    comparison: Comparison | None = None
    refused: str = ""

    def count(self, outcome: Outcome | None) -> int:
        """How many pairs came out like this."""
        return self.outcomes.count(outcome)


async def preferred(ask: Ask, judge: Calibration, pairs: Sequence[Pair], authors: tuple[Author, Author]) -> Preferences:
    """Which answers a judge of the kind `pairs` prefers; `authors` are of all the first and of all the second.

    Two calls a pair, none for a pair of equal answers, which is a tie. Raises only what `ask` raises beyond Unasked
    and LaneError.
    """
    refused = judge.refused and str(judge)
    if judge.kind != "pairs":
        refused = f"judge {judge.lane} was calibrated on single answers, not on pairs"
    refused = refused or kin(judge, authors[0]) or kin(judge, authors[1])
    if refused:
        return Preferences(judge=judge.lane, refused=refused)

    async def one(pair: Pair) -> Placed | None:
        if pair.one.split() == pair.two.split():
            return Placed("tie", "", frozenset())
        try:
            return await placed(ask, judge.lane, pair)
        except LaneError:
            return None

    found = await abreast(one, pairs)
    changed = {name for some in found if some for name in some.reported} - {judge.reported}
    asked = [some for some in found if some and some.reported]
    flips = flips_of(asked)
    outcomes = tuple(some.outcome if some else None for some in found)
    if changed:
        refused = f"judge {judge.lane} calls itself {min(changed) or 'nothing'}, and not what it was calibrated as"
    elif flips.refused:
        refused = f"judge {judge.lane} is refused: {flips.refused}"
    scores = [_SCORES[outcome] for outcome in outcomes if outcome in _SCORES]
    made = compare(*zip(*scores, strict=True)) if scores and not refused else None
    return Preferences(judge=judge.lane, outcomes=outcomes, flips=flips, comparison=made, refused=refused)
