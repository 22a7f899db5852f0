"""story: one request as the log tells it, its entries put together."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from laneway.record import (
    Compared,
    Entry,
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

__all__ = ["Logged", "Seen", "Story", "Verification", "story_of"]

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


def story_of(id: str, entries: Iterable[tuple[datetime.datetime, Entry]]) -> Story | None:
    """The story that entries tell, in their order; None where none of them says how the request began."""
    opening: Opening | None = None
    outcome: Logged[Outcome] | None = None
    review: Logged[Review] | None = None
    intents, unseen = list[Logged[Intent]](), list[Logged[Intent]]()
    words, shut = list[Logged[Feedback]](), list[Shut]()
    compared, resolutions = list[Logged[Compared]](), list[Logged[Resolution]]()
    for at, entry in entries:
        if isinstance(entry, Intent | Outcome):
            opening = opening or entry.opening
        if isinstance(entry, Intent):
            (intents if entry.trial is None else unseen).append(Logged(at, entry))
        elif isinstance(entry, Outcome):
            outcome = Logged(at, entry)
        elif isinstance(entry, Feedback):
            words.append(Logged(at, entry))
        elif isinstance(entry, Shut):
            shut.append(entry)
        elif isinstance(entry, Compared):
            compared.append(Logged(at, entry))
        elif isinstance(entry, Review):
            review = Logged(at, entry)
        elif isinstance(entry, Resolution):
            resolutions.append(Logged(at, entry))
    if opening is None:
        return None
    return Story(id, opening, tuple(intents), outcome, tuple(words), tuple(shut), tuple(unseen), tuple(compared),
                 review, tuple(resolutions))  # fmt: skip
