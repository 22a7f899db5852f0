"""race: two calls of one request side by side. The first to say something speaks for it, and the other is cut off."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from laneway.errors import LaneError

__all__ = ["FINAL", "Race"]

FINAL = ("invalid", "refusal")
"""Causes of a LaneError that are an answer: no other lane is asked."""

T = TypeVar("T")


class Race:
    """Between a call and its hedge, a second one that began later."""

    def __init__(self) -> None:
        self._hedge_said: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def says(self, *, hedge: bool) -> bool:
        """One of the two has something to say; whether it is the one that may."""
        if not self._hedge_said.done():
            self._hedge_said.set_result(hedge)
        return self._hedge_said.result() is hedge

    def won(self, *, hedge: bool) -> bool:
        """Whether that one has spoken first."""
        return self._hedge_said.done() and self._hedge_said.result() is hedge

    async def run(self, first: asyncio.Task[T], hedge: asyncio.Task[T]) -> T:
        """What the one that speaks comes to; where none does, what the hedge came to, as the later hop of the plan.

        What the first says is final, also that it will not answer. A hedge that fails, or declines, leaves the first
        its time. Whoever calls this cancels what still runs afterwards.
        """
        await asyncio.sleep(0)  # a task that is cancelled before it has begun would give nothing back
        running: set[asyncio.Future[Any]] = {first, hedge}
        while running and not self._hedge_said.done():
            await asyncio.wait({self._hedge_said, *running}, return_when=asyncio.FIRST_COMPLETED)
            running = {task for task in running if not task.done()}
            if first.done() and not _failed(first):
                return first.result()
        winner, loser = (first, hedge) if self.won(hedge=False) else (hedge, first)
        loser.cancel()
        return await winner


def _failed(task: asyncio.Task[T]) -> bool:
    """Whether the lane could not answer, so that another may."""
    error = task.exception()
    return isinstance(error, LaneError) and error.cause not in FINAL
