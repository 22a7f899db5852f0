"""Facts: what else was true at the moment of a decision, frozen and recorded by value.

A fact never recorded is unknown. `decide` reads the clock only from here.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable

import msgspec

__all__ = ["Facts", "down"]


class Facts(msgspec.Struct, frozen=True):
    """A snapshot: `today` (UTC), lanes that are `closed` with the reason, measured p95 seconds by lane."""

    today: datetime.date
    closed: dict[str, str] = {}
    p95: dict[str, float] = {}


def down(lanes: Iterable[str]) -> dict[str, str]:
    """Lanes that are out, as `closed` says it."""
    return {lane: f"{lane} is down" for lane in lanes}
