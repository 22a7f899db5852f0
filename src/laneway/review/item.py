"""item: one decision that waits for people, and what its caller is told meanwhile."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import NamedTuple

from laneway.errors import LanewayError
from laneway.record import Opening, Resolution, Review

__all__ = ["Held", "Item", "Onward", "Waiting"]

_POLL_SECONDS = 5


class Waiting(LanewayError):
    """An answer that waits for a person: not an error, but no answer yet. `until` is UTC."""

    def __init__(self, id: str, ticket: str, until: datetime.datetime) -> None:
        self.id, self.ticket, self.until, self.retry_after = id, ticket, until, _POLL_SECONDS
        super().__init__(f"a person must release the answer of {id}")


class Held(NamedTuple):
    """What is put away: its item, the ticket with which the caller fetches it, and how long it waits for that."""

    review: Review
    ticket: str
    wait: float


class Onward(NamedTuple):
    """A request that a reviewer sends on: its new id, whose item it comes from, and what is asked."""

    id: str
    source: str
    body: bytes
    headers: dict[str, str]


class Item:
    """One decision that waits: what the log says of it, and what people did so far. `now` is UTC in ns."""

    def __init__(
        self, review: Review, opening: Opening, lane: str | None, at: datetime.datetime, now: int
    ) -> None:  # fmt: skip
        self.review, self.opening, self.lane, self.at = review, opening, lane, at
        self._ends = time.monotonic() + (review.until - now // 1000) / 1e6
        self.resolutions: list[Resolution] = []
        self.closed = asyncio.Event()

    def waiting(self, ticket: str) -> Waiting:
        """What its caller is told."""
        return Waiting(self.review.id, ticket, self.until)

    def over(self, now: int) -> bool:
        """Whether its time is over at `now` (UTC, ns), or by a clock that nobody sets back."""
        return now // 1000 >= self.review.until or time.monotonic() >= self._ends

    @property
    def until(self) -> datetime.datetime:
        """When its time is over."""
        return datetime.datetime.fromtimestamp(self.review.until / 1e6, datetime.UTC)
