"""Two lanes, or two prompts, on the same samples: the difference of their means, and whether it is real.

The test is exact for scores of 0 and 1 (McNemar's: among the samples where they differ, a fair coin) and a
sign-flip permutation test for graded ones, all flips where there are few, else 20,000 with a fixed seed. The
interval is the Bayesian bootstrap of the paired differences with one sample added at the worst end (see
`bounds`), because the plain bootstrap says "no difference, surely" of ten samples that happen to agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from laneway.evidence.statistics.bounds import mean_bound
from laneway.evidence.statistics.numbers import StatisticsError, check_confidence, checked, libraries

__all__ = ["Comparison", "Verdict", "compare", "undecided"]

Verdict = Literal["better", "worse", "equal", "open"]

_MOST = 1_000_000
"""No comparison is advised to grow beyond so many samples."""

_FLIPS = 20_000
_FEW = 14
_CHUNK = 2_000_000


class Comparison(NamedTuple):
    """The second of two against the first.

    `difference` is the mean of second minus first, within `low`..`high` at `confidence`; `p` is how often chance
    alone would show as much. `verdict`: `better` or `worse` where p says so, else `equal` where the whole
    interval lies within plus or minus `margin`, else `open`: the samples are too few to say.
    """

    difference: float
    low: float
    high: float
    p: float
    wins: int
    losses: int
    ties: int
    confidence: float
    margin: float
    verdict: Verdict


def compare(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95, margin: float = 0.05
) -> Comparison:
    """Compare scores of the same samples, in the same order. Raises StatisticsError where they do not pair up."""
    check_confidence(confidence)
    if len(first) != len(second):
        raise StatisticsError(f"{len(first)} scores against {len(second)}: compare only the samples that both have")
    gains = checked(second) - checked(first)
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    mean, half = float(gains.mean()), (1 - confidence) / 2
    low = 2 * mean_bound((1 + gains) / 2, half) - 1
    high = 1 - 2 * mean_bound((1 - gains) / 2, half)
    p = _p(gains)
    if p <= 1 - confidence:
        verdict: Verdict = "better" if mean > 0 else "worse"
    else:
        verdict = "equal" if -margin < low and high < margin else "open"
    ties = gains.size - wins - losses
    return Comparison(mean, low, high, p, wins, losses, ties, confidence, margin, verdict)


def undecided(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95, margin: float = 0.05
) -> int | None:
    """About how many more samples would end an `open` comparison, if they went as those so far; None: over a million.

    An estimate: decided is taken to be where the interval leaves 0 out, or lies within the margin.
    """
    check_confidence(confidence)
    gains, half = checked(second) - checked(first), (1 - confidence) / 2

    def decided(size: int) -> bool:
        times = size / gains.size
        low = 2 * mean_bound((1 + gains) / 2, half, times) - 1
        high = 1 - 2 * mean_bound((1 - gains) / 2, half, times)
        return low > 0 or high < 0 or (-margin < low and high < margin)

    few, many = int(gains.size), _MOST
    if not decided(many):
        return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if decided(middle) else (middle, many)
    return many - int(gains.size)


def _p(gains: Any) -> float:
    """The two-sided p of no difference."""
    np, special = libraries()
    sizes = np.abs(gains[gains != 0])
    if not sizes.size:
        return 1.0
    if (sizes == sizes[0]).all():
        most = max(int((gains > 0).sum()), int((gains < 0).sum()))
        return min(1.0, 2 * float(special.bdtrc(most - 1, sizes.size, 0.5)))
    seen = abs(float(gains.sum())) - 1e-9
    if sizes.size <= _FEW:
        signs = (np.arange(1 << sizes.size)[:, None] >> np.arange(sizes.size)) & 1
        return float((np.abs((2 * signs - 1) @ sizes) >= seen).mean())
    chance = np.random.default_rng(20261129)
    rows, found = max(1, _CHUNK // sizes.size), 0
    for start in range(0, _FLIPS, rows):
        signs = chance.integers(0, 2, (min(rows, _FLIPS - start), sizes.size), dtype=np.int8)
        found += int((np.abs((2 * signs - 1) @ sizes) >= seen).sum())
    return (found + 1) / (_FLIPS + 1)
