"""story: one request as the log tells it, its entries put together."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from laneway.record import (
    Compared,
    Erased,
    Feedback,
    Intent,
    Lever,
    Opening,
    Outcome,
    Resolution,
    Review,
    Shut,
)

__all__ = ["Logged", "Seen", "Story", "Verification"]

E = TypeVar("E", bound=Intent | Outcome | Feedback | Shut | Compared | Review | Resolution | Lever | Erased)


class Logged(NamedTuple, Generic[E]):
    """An entry and when it was handed to the log (UTC)."""

    at: datetime.datetime
    entry: E


@dataclass(frozen=True, slots=True)
class Story:
    """One request from its first entry to its last. `outcome` is None while it runs.

    `feedback` is what was said of its answer since, oldest first; `shut` are the lanes that it showed to be another
    model than was measured. `unseen` are the calls made once the client had its answer, `compared` what came of them.
    """

    id: str
    opening: Opening
    intents: tuple[Logged[Intent], ...]
    outcome: Logged[Outcome] | None
    feedback: tuple[Logged[Feedback], ...] = ()
    shut: tuple[Shut, ...] = ()
    unseen: tuple[Logged[Intent], ...] = ()
    compared: tuple[Logged[Compared], ...] = ()
    review: Logged[Review] | None = None
    resolutions: tuple[Logged[Resolution], ...] = ()


class Seen(NamedTuple):
    """A comparison, when it was made (UTC), and the workload of the request."""

    at: datetime.datetime
    entry: Compared
    workload: str | None


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found. `entries` were in order; `head` is the hash of the last of them, in hex.

    `covered` of them are under a signed checkpoint that fits, where there were any to compare.
    """

    ok: bool
    entries: int
    problem: str | None
    head: str
    covered: int = 0
