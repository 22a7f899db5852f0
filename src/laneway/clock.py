"""clock: the day by which policies are judged. Everything that decides gets it as a value."""

from __future__ import annotations

import datetime

__all__ = ["today"]


def today() -> datetime.date:
    """The day in UTC."""
    return datetime.datetime.now(datetime.UTC).date()
