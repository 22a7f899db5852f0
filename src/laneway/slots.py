"""slots: at most so many calls of a lane at once and a minute; who comes first is served first.

A slot is taken before a call and given back after it. Waiting for one is bounded, and leaves nothing behind when it
is cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from laneway.lane import Limits

__all__ = ["MINUTE", "Slots"]

MINUTE = 60.0


class Slots:
    """One lane's slots, under `limits`, which may be replaced. `held` are in use.

    `lent` asks those who hold one only while nobody else needs it to give way; it is called as soon as somebody waits.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic, minute: float = MINUTE) -> None:
        self.limits, self.held = limits, 0
        self._clock, self._minute = clock, minute
        self._sent, self._waiting = deque[float](), deque[asyncio.Future[None]]()
        self.lent = set[Callable[[], None]]()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    def take_now(self) -> bool:
        """Take a slot if one is free and nobody waits for it."""
        now = self._clock()
        if self._waiting or not self._free(now):
            return False
        self._hold(now)
        return True

    async def take(self, patience: float) -> bool:
        """Take a slot, waiting at most `patience` seconds; False where none can be had by then."""
        if self.take_now():
            return True
        now = self._clock()
        if patience <= 0 or self._soonest() > now + patience:
            return False
        for give_way in tuple(self.lent):
            give_way()
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._grant()
        try:
            async with asyncio.timeout(patience):
                await waiter
        except (TimeoutError, asyncio.CancelledError) as error:
            granted = waiter.done() and not waiter.cancelled()
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            if granted and isinstance(error, asyncio.CancelledError):
                self.give(used=False)
            if isinstance(error, TimeoutError):
                return granted
            raise
        return True

    def give(self, *, used: bool = True) -> None:
        """Give a slot back; one that was not `used` for a call does not count in its minute."""
        self.held -= 1
        if not used and self._sent:
            self._sent.pop()
        self._grant()

    def resize(self, limits: Limits) -> None:
        """Go on under other limits."""
        self.limits = limits
        self._grant()

    def _free(self, now: float) -> bool:
        at_once, rpm = self.limits.concurrency, self.limits.rpm
        if at_once is not None and self.held >= at_once:
            return False
        while self._sent and self._sent[0] <= now - self._minute:
            self._sent.popleft()
        return rpm is None or len(self._sent) < rpm

    def _hold(self, now: float) -> None:
        self.held += 1
        if self.limits.rpm is not None:
            self._sent.append(now)

    def _soonest(self) -> float:
        """No slot can be had before this time, by the calls of the last minute and those who wait already."""
        rpm, sent = self.limits.rpm, self._sent
        over = -1 if rpm is None else len(sent) + len(self._waiting) - rpm
        if not rpm or over < 0 or over % rpm >= len(sent):
            return 0.0
        return sent[over % rpm] + (over // rpm + 1) * self._minute

    def _grant(self) -> None:
        """Hand slots to those who wait, in order; where only time can free one, come back then."""
        now = self._clock()
        while self._waiting and self._free(now):
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                self._hold(now)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and self._sent:
            wait = max(self._sent[0] + self._minute - now, 0.001)
            self._timer = asyncio.get_running_loop().call_later(wait, self._grant)
