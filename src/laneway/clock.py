"""clock: the day by which policies are judged, and ids that sort by time. What decides gets both as values."""

from __future__ import annotations

import datetime
import secrets

__all__ = ["new_id", "since", "today"]

_CHANCES: list[str] = []


def today() -> datetime.date:
    """The day in UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def new_id(now: int) -> str:
    """Sortable by time, unguessable: milliseconds since 1970 and 48 random bits, in hex. `now` is UTC in ns."""
    try:
        chance = _CHANCES.pop()
    except IndexError:  # the system is asked for many at once, as asking costs more than they do
        drawn = secrets.token_hex(6 * 256)
        chance, *more = (drawn[at : at + 12] for at in range(0, len(drawn), 12))
        _CHANCES.extend(more)
    return f"{now // 1_000_000:011x}-{chance}"


def since(id: str) -> datetime.datetime:
    """When an id of `new_id` was made (UTC)."""
    return datetime.datetime.fromtimestamp(int(id[:11], 16) / 1000, datetime.UTC)
