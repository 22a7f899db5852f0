"""The optional libraries, loaded late; and scores checked once, so that no NaN ever counts as a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from laneway.errors import LanewayError

__all__ = ["INSTALL", "StatisticsError", "check_confidence", "checked", "libraries", "root"]


INSTALL = "in a clone: sh scripts/setup demo,eval; for the package: pip install 'laneway[eval]'"
"""What to do where the `eval` extra is missing."""


class StatisticsError(LanewayError):
    """The numbers cannot be judged: none, not within their range, or a library is missing."""


def libraries() -> tuple[Any, Any]:
    """numpy and scipy.special. Raises StatisticsError, with the remedy, where they are not installed."""
    try:
        import numpy as np  # noqa: PLC0415  # an extra, and slow to load
        from scipy import special  # noqa: PLC0415
    except ImportError:
        raise StatisticsError(f"statistics need the `eval` extra; {INSTALL}") from None
    return np, special


def checked(scores: Iterable[float]) -> Any:
    """The scores as an array. Raises StatisticsError where there are none, or one is not a number within 0..1."""
    np, _ = libraries()
    array = np.asarray(list(scores), dtype=float)
    if array.size == 0:
        raise StatisticsError("no scores: nothing is proved")
    wrong = np.flatnonzero(~((array >= 0) & (array <= 1)))
    if wrong.size:
        raise StatisticsError(f"score {wrong[0] + 1} of {array.size} is {array[wrong[0]]}, not within 0..1")
    return array


def check_confidence(confidence: float) -> None:
    """Raise StatisticsError unless 0.5 <= confidence < 1."""
    if not 0.5 <= confidence < 1:
        raise StatisticsError(f"a confidence of {confidence} is not within 0.5..1; 0.95 is usual")


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function crosses 0 between `low` and `high`, to 1e-8; `low` where it is above already."""
    from scipy import optimize  # noqa: PLC0415  # an extra, and slow to load

    if function(low) >= 0:
        return low
    return float(optimize.brentq(function, low, high, xtol=1e-8))
