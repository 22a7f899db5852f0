"""site: what every page of the console has at hand, and what is asked of it and comes back."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from laneway.errors import LanewayError, LogError
from laneway.gateway import Gateway
from laneway.review.people import People, Person
from laneway.server.console.chain import Chain
from laneway.server.console.pages import Pages
from laneway.server.console.signin import Session, Sessions
from laneway.store.listing import Listing
from laneway.weekly.kept import Kept

__all__ = ["Asked", "Denied", "Drawn", "Reply", "Site"]

T = TypeVar("T")
Drawn = tuple[str, str, list[tuple[str, str]]]
"""The head and the main part of a page as HTML, and its contents."""
_MOST_DRAWN = 8


class Denied(LanewayError):
    """A page that is not shown: its HTTP status, a title, what to do about it, and a page to go to instead.

    `written` is what somebody wrote into the form that was refused, so that it is not lost.
    """

    def __init__(
        self, status: int, title: str, message: str, link: tuple[str, str] | None = None, written: tuple[str, ...] = ()
    ) -> None:  # fmt: skip
        self.status, self.title, self.link, self.written = status, title, link, written
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for a page. `person` and `session` are None for who is not signed in."""

    method: str
    path: str
    host: str
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    cookie: str = ""
    session: Session | None = None
    person: Person | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "text/html; charset=utf-8"})

    @classmethod
    def to(cls, path: str, **headers: str) -> Reply:
        """On to another page, to be asked for anew."""
        location = quote(path, safe="/?&=%:#~+")  # a line's end in it would be a header's
        return cls(
            303, b"", {"location": location} | {name.replace("_", "-"): value for name, value in headers.items()}
        )


def _counted(log: Path) -> Kept:
    counts = Kept(log)
    counts.bring_up()
    return counts


class Site:
    """The gateway whose log is shown, the people who may look, and how pages are drawn."""

    def __init__(self, gateway: Gateway, people: People) -> None:
        self.gateway, self.people = gateway, people
        self.log: Path = gateway.log.path
        self._counting: asyncio.Task[Kept] | None = None
        self._drawn: dict[tuple[str, datetime.date], Drawn] = {}
        self.sessions, self.pages, self.chain = Sessions(people), Pages(), Chain(gateway.log.path)

    async def read(self, work: Callable[[Listing], T]) -> T:
        """What `work` makes of the log, in a thread. Raises LogError."""

        def reading() -> T:
            with closing(Listing.open(self.log)) as listing:
                return work(listing)

        return await asyncio.to_thread(reading)

    async def drawn(self, hash: str, day: datetime.date, draw: Callable[[], Drawn]) -> Drawn:
        """The parts of a policy's page, drawn once a day: to prove a policy costs more than to show it."""
        key = hash, day
        if key not in self._drawn:
            while len(self._drawn) >= _MOST_DRAWN:
                del self._drawn[next(iter(self._drawn))]
            self._drawn[key] = await asyncio.to_thread(draw)
        return self._drawn[key]

    def counts(self) -> Kept | None:
        """The counts of the log for the review; None while they are made for the first time."""
        if self._counting is None:
            self._counting = asyncio.create_task(asyncio.to_thread(_counted, self.log))
        return self._counting.result() if self._counting.done() else None

    async def close(self) -> None:
        """Let go of what was opened."""
        self.chain.end()
        if self._counting is not None:
            with suppress(LogError):
                (await self._counting).close()

    async def page(self, asked: Asked, template: str, title: str, *, status: int = 200, **values: object) -> Reply:
        """The page, drawn in a thread."""
        values |= {
            "title": title, "person": asked.person, "csrf": asked.session.csrf if asked.session else "",
            "path": asked.path, "policy": self.gateway.active.policy, "chain": self.chain,
        }  # fmt: skip
        return Reply(status, await asyncio.to_thread(self.pages.draw, template, **values))
