"""keeping: once a day what the log says of decisions goes whose time is over."""

from __future__ import annotations

import asyncio
import logging

from laneway.errors import LogError
from laneway.gateway import Gateway
from laneway.retention import retain

__all__ = ["keep"]

_FIRST_SECONDS, _DAY_SECONDS = 60.0, 86_400.0
_log = logging.getLogger("laneway")


async def keep(gateway: Gateway, first: float = _FIRST_SECONDS) -> None:
    """Empty what is over, `first` seconds from now and each day after, by the policy then in force; until cancelled."""
    wait = first
    while True:
        await asyncio.sleep(wait)
        wait = _DAY_SECONDS
        try:
            done = await asyncio.to_thread(retain, gateway.log, gateway.active.policy)
        except LogError as error:
            _log.error("nothing is retained by time: %s", error)
            continue
        if done:
            _log.warning("retention: what the log said of %d decisions was emptied", done.total())
