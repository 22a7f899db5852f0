"""swap: two answers shown in both orders; what does not survive the swap was decided by the place, not the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from laneway.evidence.judging.asking import Ask, preference_in, preferring, said_by
from laneway.evidence.sample import Sample
from laneway.evidence.statistics.bounds import lower

__all__ = ["MOST_FLIPS", "Flips", "Outcome", "Pair", "Placed", "flips_of", "placed"]

Outcome = Literal["one", "two", "tie", "position", "unclear"]

MOST_FLIPS = 0.2
"""The most of a judge's preferences that may change when the two answers change places."""


class Flips(NamedTuple):
    """Of `asked` pairs shown in both orders, how many outcomes did not survive; and how often a place won twice."""

    asked: int
    flipped: int
    first: int
    second: int

    @property
    def refused(self) -> str:
        """Why a judge with these does not count; empty where it does."""
        if not self.asked or self.flipped <= MOST_FLIPS * self.asked:
            return ""
        twice = self.first + self.second
        for place, won in (("first", self.first), ("second", self.second)):
            if won and lower([1.0] * won + [0.0] * (twice - won)) > 0.5:
                what = f"it prefers the {place} position ({won} of {twice} times that a position won twice)"
                break
        else:
            what = "it contradicts itself when the answers change places"
        share = f"{self.flipped} of {self.asked} outcomes did not survive the swap"
        return f"{what}: {share} ({self.flipped / self.asked:.0%}; at most {MOST_FLIPS:.0%} may)"


class Pair(NamedTuple):
    """Two answers to one sample, to be compared by one rubric."""

    sample: Sample
    asks: str
    one: str
    two: str


class Placed(NamedTuple):
    """The outcome of one pair, the place that won in both orders, if one did, and how the judge called itself."""

    outcome: Outcome
    place: str
    reported: frozenset[str]


async def placed(ask: Ask, lane: str, pair: Pair) -> Placed | None:
    """The outcome that survives the swap; None where the lane may not be asked."""
    orders = ((pair.one, pair.two), (pair.two, pair.one))
    replies = [await said_by(ask, lane, preferring(pair.sample, pair.asks, *order), pair.sample) for order in orders]
    if replies[0] is None or replies[1] is None:
        return None
    reported = frozenset({replies[0].reported, replies[1].reported})
    match preference_in(replies[0].text), preference_in(replies[1].text):
        case ("unclear", _) | (_, "unclear"):
            return Placed("unclear", "", reported)
        case "first", "second":
            return Placed("one", "", reported)
        case "second", "first":
            return Placed("two", "", reported)
        case "tie", "tie":
            return Placed("tie", "", reported)
        case one, two:
            return Placed("position", one if one == two else "", reported)


def flips_of(said: Sequence[Placed]) -> Flips:
    """How often the place, and not the answer, decided; unclear outcomes are left out."""
    clear = [(outcome, place) for outcome, place, _ in said if outcome != "unclear"]
    places = [place for _, place in clear]
    flipped = sum(outcome == "position" for outcome, _ in clear)
    return Flips(len(clear), flipped, places.count("first"), places.count("second"))
