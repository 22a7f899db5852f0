"""recalled: what waited when a server ended, by its log, and whose words may still be fetched."""

from __future__ import annotations

from typing import NamedTuple

from laneway.record import Action, Resolution, Review
from laneway.review.item import Item
from laneway.store import Reader

__all__ = ["Recalled"]


class Recalled(NamedTuple):
    """The items that wait, by id; and how the others ended."""

    items: dict[str, Item]
    ended: dict[str, Action]

    @classmethod
    def of(cls, reader: Reader, now: int) -> Recalled:
        """By the log of `reader`, at `now` (UTC, nanoseconds)."""
        opened: dict[str, list[Resolution]] = {}
        ended: dict[str, Action] = {}
        for _, entry in reader.desk():
            if isinstance(entry, Review):
                opened[entry.id] = []
            elif entry.id in opened and entry.final:
                del opened[entry.id]
                ended[entry.id] = entry.action
            elif entry.id in opened:
                opened[entry.id].append(entry)
        items = {}
        for id, done in opened.items():
            story = reader.story(id)
            if story is not None and story.review is not None:
                lane = story.outcome.entry.lane if story.outcome else None
                items[id] = Item(story.review.entry, story.opening, lane, story.review.at, now)
                items[id].resolutions = done
        return cls(items, ended)

    def released(self, id: str, reader: Reader) -> bool:
        """Whether a person released the answer to what waits no more, or it was sent on and answered."""
        if id in self.ended:
            return self.ended[id] in ("approve", "edit")
        story = reader.story(id)
        return story is not None and story.outcome is not None and story.outcome.entry.status == "answered"
