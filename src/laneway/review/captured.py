"""captured: what requests ask and are answered, kept where a rule of `capture` says so, once the client has its answer.

Nothing waits for it, and what cannot be kept is said and lost: an answer never depends on it.
"""

from __future__ import annotations

import asyncio
import logging

from laneway.errors import LanewayError
from laneway.policy import Policy
from laneway.review.acts import Kept, Words
from laneway.review.desk import Desk
from laneway.signals import Signals

__all__ = ["MOST", "Captures", "days_of"]

MOST = 256
"""How many may wait to be written; what comes beyond is not kept."""

_DAY = 86_400_000_000
_log = logging.getLogger("laneway")


def days_of(policy: Policy, signals: Signals) -> int:
    """For how many days a request's content is kept: the longest of the rules that surely match; 0 for not at all."""
    return max((rule.days for rule in policy.captures if rule.surely(signals)), default=0)


class Captures:
    """Keeps content beside the desk's."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._writing: set[asyncio.Task[None]] = set()

    def keep(self, id: str, days: int, kept: Kept, words: Words, subject: str) -> None:
        """Keep what was asked and answered for so many days; returns at once."""
        if len(self._writing) >= MOST:
            _log.warning("the content of decision %s is not kept: too much is waiting to be written", id)
            return
        task = asyncio.create_task(self._keep(id, days, kept, words, subject))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def ended(self) -> None:
        """Wait until all of it is written."""
        await asyncio.gather(*self._writing)

    async def _keep(self, id: str, days: int, kept: Kept, words: Words, subject: str) -> None:
        until = self.desk.log.now() // 1000 + days * _DAY

        def write() -> None:
            content = self.desk.place()
            content.put(id, "request", kept.encoded(), why="capture", until=until, subject=subject)
            content.put(id, "answer", words.encoded(), why="capture", until=until, subject=subject)

        try:
            await asyncio.to_thread(write)
        except LanewayError as error:
            _log.warning("the content of decision %s is not kept: %s", id, error)
