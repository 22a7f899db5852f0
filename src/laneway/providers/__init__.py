"""Providers: the port through which lanes are called.

A Provider takes a lane and the exact bytes to send, and gives a Reply: the status and the answer's bytes
as they arrive. Whatever goes wrong on the way is a `LaneError`. Leaving the context, also by cancellation,
closes the connection unless the answer was read to its end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from laneway.lane import Lane

__all__ = ["Provider", "Reply"]


class Reply(Protocol):
    """A lane's answer whose head has arrived; its status is always 2xx."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes, as they arrive. To be iterated once, to the end, so that the line is kept."""


class Provider(Protocol):
    """Whatever can call lanes."""

    def call(
        self, lane: Lane, body: bytes, *, stream: bool, last: Callable[[], None] | None = None
    ) -> AbstractAsyncContextManager[Reply]:
        """Send `body` to `lane`; entering waits for the answer's head.

        `last` is called when the first byte is about to leave; where it raises, none does.
        """

    async def close(self) -> None:
        """Close all connections."""
