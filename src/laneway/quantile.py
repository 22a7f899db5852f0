"""quantile: of values as they were measured, the one that a share of them does not exceed. Pure."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["quantile"]


def quantile(values: Iterable[float], share: float) -> float | None:
    """The value that a `share` (0..1) of the values do not exceed; None where there are none."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None
