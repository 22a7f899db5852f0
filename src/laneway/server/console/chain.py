"""chain: how far the log's chain was followed since the console began, and where it breaks.

Follows it a little at a time, so that requests do not wait behind it, and the newest records as they come.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from laneway.errors import LogError
from laneway.store.listing import Listing

__all__ = ["Chain"]

_STEP, _PAUSE, _REST = 500, 0.02, 2.0


class Chain:
    """What is known of the log at `path`: `reached` of `records` follow from each other; `problem` is what does not."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reached = self.records = 0
        self.problem = ""
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Follow it from now on, if that was not begun before."""
        if self._task is None:
            self._task = asyncio.create_task(self._follow())

    def end(self) -> None:
        """Follow it no further."""
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        while not self.problem:
            await asyncio.to_thread(self._step)
            await asyncio.sleep(_PAUSE if self.reached < self.records else _REST)

    def _step(self) -> None:
        try:
            with closing(Listing.open(self.path)) as listing:
                self.records = listing.last()
                self.reached, problem = listing.walk(self.reached, _STEP)
                self.problem = problem or ""
        except LogError as error:
            self.problem = f"{error}"
