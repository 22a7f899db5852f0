"""frame: a period, the one of equal length before it, and the slices that both are counted in. Pure.

Moments are microseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["HOUR", "Frame"]

HOUR = 3_600_000_000
_DAY = 24 * HOUR
_SECOND = 1_000_000
_MOST = 14
"""Slices at most, so that a chart is read at a glance."""


class Frame(NamedTuple):
    """From `start` up to `until`, in `slices` of `width`; those below 0 are the period before, if `compared`."""

    start: int
    until: int
    width: int
    slices: int
    compared: bool

    @classmethod
    def of(cls, start: int, until: int, *, compared: bool) -> Frame:
        """By days, where there are not too many or too few of them; else by equal parts."""
        length = max(1, until - start)
        days = round(length / _DAY)
        whole = 2 <= days <= _MOST and abs(length - days * _DAY) < _SECOND
        slices = days if whole else 12 if length >= 12 else 1
        return cls(start, until, -(-length // slices), slices, compared)

    def slice(self, at: int) -> int | None:
        """The slice of a moment. What is dated later than the end, by a clock that was ahead, counts to the last."""
        start, _, width, slices, compared = self
        index = (at - start) // width
        if index >= slices:
            return slices - 1
        return index if index >= 0 or (compared and index >= -slices) else None

    def began(self, index: int) -> int:
        """When a slice begins."""
        return self.start + index * self.width
