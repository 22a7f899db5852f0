"""wait: a lane's Retry-After in, seconds out. It is believed for seconds and for HTTP dates, and only if ahead."""

from __future__ import annotations

import datetime
import re
from email.utils import parsedate_to_datetime

__all__ = ["retry_after"]

_SECONDS = re.compile(r"[0-9]{1,6}")


def retry_after(said: str | None, now: datetime.datetime) -> float | None:
    """How many seconds the lane asks to be left alone; None where it does not say, or says what cannot be."""
    if said is None:
        return None
    if _SECONDS.fullmatch(said.strip()):
        return float(said) or None
    try:
        date = parsedate_to_datetime(said)
    except ValueError:
        return None
    if date.tzinfo is None:  # `-0000`, which is UTC without saying so
        date = date.replace(tzinfo=datetime.UTC)
    ahead = (date - now).total_seconds()
    return ahead if ahead > 0 else None
