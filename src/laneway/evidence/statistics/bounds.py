"""Bounds of a mean score, the bar that a set can prove, and how many samples more would prove a higher one.

Scores of 0 and 1 get the exact bounds of Clopper and Pearson. Graded scores get their generalisation by Gaffke:
each score, and one more at the worst end, gets a random weight (uniform over all weights that sum to 1), and the
bound is the quantile of the weighted mean. That is the Bayesian bootstrap with one worst sample added, it equals
Clopper-Pearson where all scores are 0 or 1, and it holds near 0 and 1, where the plain bootstrap does not. It is
proved for scores of 0 and 1 and shown by simulation for graded ones (`benchmarks/bench_intervals.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from laneway.evidence.statistics.numbers import StatisticsError, check_confidence, checked, libraries, root

__all__ = ["Interval", "Proof", "interval", "lower", "mean_bound", "missing", "prove", "upper"]

_MOST = 1_000_000
"""No set is advised to grow beyond this."""

_FINE = 1000
"""Where there are more values than so many they are rounded down to thousandths: a bound is never higher for it."""

_FROM, _TO, _STEP = -9.0, 8.0, 0.08
_FAR = 25.0
"""So many standard deviations off, the probability is below a hundred-thousandth (Bernstein), and the sum too wavy."""


class Interval(NamedTuple):
    """A mean of `n` scores and both its bounds, which hold together at `confidence`."""

    mean: float
    low: float
    high: float
    n: int
    confidence: float


class Proof(NamedTuple):
    """What `n` scores prove: `bar` is the highest that their mean reaches at `confidence`, one-sided.

    `wanted` is a higher bar, and `missing` how many more samples at the same mean would prove it; None where
    a million would not, because the mean itself is not above it, or hardly.
    """

    mean: float
    n: int
    confidence: float
    bar: float
    wanted: float
    missing: int | None

    def __str__(self) -> str:
        said = f"the best bar this set can prove is {_down(self.bar)} at {self.confidence:.0%}"
        if self.missing == 0:
            return said
        if self.missing is None:
            return f"{said}; a million samples would not allow {self.wanted:g}, as the mean is {self.mean:.3f}"
        return f"{said}; {self.missing} more samples would allow {self.wanted:g}"


def lower(scores: Iterable[float], confidence: float = 0.95) -> float:
    """The one-sided lower bound: the true mean is at least this, at `confidence`."""
    check_confidence(confidence)
    return mean_bound(checked(scores), 1 - confidence)


def upper(scores: Iterable[float], confidence: float = 0.95) -> float:
    """The one-sided upper bound."""
    check_confidence(confidence)
    return 1 - mean_bound(1 - checked(scores), 1 - confidence)


def interval(scores: Iterable[float], confidence: float = 0.95) -> Interval:
    """Both bounds, each at half the error."""
    check_confidence(confidence)
    array, half = checked(scores), (1 - confidence) / 2
    high = 1 - mean_bound(1 - array, half)
    return Interval(float(array.mean()), mean_bound(array, half), high, array.size, confidence)


def prove(scores: Iterable[float], wanted: float, confidence: float = 0.95) -> Proof:
    """The best bar that the scores prove, and what is missing for `wanted`."""
    check_confidence(confidence)
    array = checked(scores)
    bar, more = mean_bound(array, 1 - confidence), missing(array, wanted, confidence)
    return Proof(float(array.mean()), array.size, confidence, bar, wanted, more)


def missing(scores: Iterable[float], wanted: float, confidence: float = 0.95) -> int | None:
    """How many more samples, at the same mean rounded down, would prove `wanted`; 0 where it is proved already."""
    check_confidence(confidence)
    array, alpha = checked(scores), 1 - confidence
    if not 0 < wanted <= 1:
        raise StatisticsError(f"a bar of {wanted} is not within 0..1")
    if mean_bound(array, alpha) >= wanted:
        return 0
    if array.mean() <= wanted or _grown(array, _MOST, alpha) < wanted:
        return None
    few, many = array.size, _MOST
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _grown(array, middle, alpha) >= wanted else (middle, many)
    while not _reaches(array, many, alpha, wanted):
        many += 1
    return int(many - array.size)


def _grown(array: Any, size: int, alpha: float) -> float:
    """The bound of `size` scores spread as `array` is, in fractions of a sample where need be."""
    return mean_bound(array, alpha, size / array.size)


def _reaches(array: Any, size: int, alpha: float, wanted: float) -> bool:
    """Whether whole samples reach it: of 0s and 1s, the 1s are rounded down."""
    ones = int(array.sum())
    if not _binary(array):
        return True
    return _clopper_pearson(ones * size // array.size, size, alpha) >= wanted


def _binary(array: Any) -> bool:
    return bool(((array == 0) | (array == 1)).all())


def _clopper_pearson(ones: float, size: float, alpha: float) -> float:
    _, special = libraries()
    return float(special.betaincinv(ones, size - ones + 1, alpha)) if ones > 0 else 0.0


def mean_bound(array: Any, alpha: float, times: float = 1.0) -> float:
    """The lower bound of a checked array at error `alpha`, as if every score stood `times` times."""
    if _binary(array):
        return _clopper_pearson(float(array.sum()) * times, array.size * times, alpha)
    np, _ = libraries()
    values, counts = np.unique(array, return_counts=True)
    if values.size > _FINE:
        array = np.floor(array * _FINE) / _FINE
        values, counts = np.unique(array, return_counts=True)
    values, counts = np.append(values, 0.0), np.append(counts * times, 1.0)
    return root(lambda mean: _below(values - mean, counts) - alpha, 0.0, float(array.mean()))


def _below(values: Any, counts: Any) -> float:
    """P(sum of counts-many exponentials times `values` <= 0), by inverting the characteristic function.

    A Dirichlet mean is below m exactly where that sum of exponentials, shifted by m, is below 0. The integral
    is Imhof's, in the logarithm of its variable, where the trapezoid rule converges geometrically.
    """
    np, _ = libraries()
    scale = float(np.sqrt(np.sum(counts * values**2)))
    if scale == 0:
        return 1.0
    far = float(np.sum(counts * values)) / scale
    if far > _FAR:
        return 0.0
    at = np.exp(np.arange(_FROM, _TO, _STEP))[:, None] * (values / scale)
    angle, decay = np.arctan(at) @ counts, np.log1p(at**2) @ counts / 2
    total = _STEP * float(np.sum(np.sin(angle) * np.exp(-decay))) + far * math.exp(_FROM - _STEP / 2)
    return 0.5 - total / math.pi


def _down(value: float) -> str:
    return f"{int(value * 1000) / 1000:.3f}"
