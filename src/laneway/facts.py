"""Facts: what else was true at the moment of a decision, frozen and recorded by value.

A fact never recorded is unknown. `decide` reads the clock only from here.
"""

from __future__ import annotations

import datetime

import msgspec

__all__ = ["Facts"]


class Facts(msgspec.Struct, frozen=True):
    """A snapshot: `today` (UTC), lanes that are `closed` with the reason, measured p95 seconds by lane."""

    today: datetime.date
    closed: dict[str, str] = {}
    p95: dict[str, float] = {}
