"""An interval that may be looked at after every answer: for shadow traffic, which has no planned end.

An interval made for one look is wrong when looked at until it pleases. This one holds at all times together: by
Ville's inequality for the likelihood ratio of a Beta mixture (Jeffreys') against each rate. Ties tell nothing of
who is better; they are counted apart and left out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from laneway.evidence.statistics.numbers import StatisticsError, check_confidence

__all__ = ["Standing", "standing"]


class Standing(NamedTuple):
    """The candidate's share of the decided comparisons, within `low`..`high` at all times so far and to come.

    `decided` says whether one half is outside: the candidate is truly better, or worse. With nothing decided
    the share is one half, within 0..1.
    """

    wins: int
    losses: int
    ties: int
    share: float
    low: float
    high: float
    confidence: float

    @property
    def decided(self) -> bool:
        """Whether the interval leaves one half out."""
        return self.low > 0.5 or self.high < 0.5


def standing(wins: int, losses: int, ties: int = 0, *, confidence: float = 0.95) -> Standing:
    """Where a candidate stands after so many comparisons; it may be asked after each of them."""
    check_confidence(confidence)
    if min(wins, losses, ties) < 0:
        raise StatisticsError(f"{wins} wins, {losses} losses, {ties} ties: counts cannot be below 0")
    decided = wins + losses
    if not decided:
        return Standing(wins, losses, ties, 0.5, 0.0, 1.0, confidence)
    low, high = _low(wins, losses, 1 - confidence), 1 - _low(losses, wins, 1 - confidence)
    return Standing(wins, losses, ties, wins / decided, low, high, confidence)


def _low(wins: int, losses: int, alpha: float) -> float:
    """The smallest rate that the mixture does not outweigh by 1/alpha."""
    if not wins:
        return 0.0
    mixture = _log_beta(wins + 0.5, losses + 0.5) - _log_beta(0.5, 0.5)
    low, high = 0.0, wins / (wins + losses)
    for _ in range(50):
        rate = (low + high) / 2
        likely = wins * math.log(rate) + losses * math.log1p(-rate)
        low, high = (rate, high) if mixture - likely > -math.log(alpha) else (low, rate)
    return low


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
