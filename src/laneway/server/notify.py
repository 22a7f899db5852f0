"""notify: tells an address that something waits for a person: what and how long, and never its words.

Nothing waits for it: what cannot be told after a few tries is logged, and stays in the queue all the same.
"""

from __future__ import annotations

import asyncio
import logging

from laneway.errors import UsageError
from laneway.review.item import Item
from laneway.webhook import checked_url, post

__all__ = ["Notifier", "told"]

_PAUSES = (1.0, 5.0, 25.0)
_MOST = 100
_log = logging.getLogger("laneway")


class Notifier:
    """Posts each new item to `url`. Raises UsageError where that is no URL."""

    def __init__(self, url: str) -> None:
        self.url = checked_url(url)
        self._telling: set[asyncio.Task[None]] = set()

    def __call__(self, item: Item) -> None:
        """Tell of the item; returns at once."""
        if len(self._telling) >= _MOST:
            _log.warning("review %s is not told of, as the webhook is behind", item.review.id)
            return
        task = asyncio.create_task(self._tell(item.review.id, told(item)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, id: str, value: dict[str, object]) -> None:
        for pause in (*_PAUSES, None):
            try:
                await asyncio.to_thread(post, self.url, value)
                return
            except UsageError as error:
                if pause is None:
                    _log.warning("review %s could not be told of: %s", id, error)
                    return
                await asyncio.sleep(pause)


def told(item: Item) -> dict[str, object]:
    """What a webhook gets of an item."""
    review, signals = item.review, item.opening.signals
    return {
        "object": "laneway.review", "event": "opened", "review": review.id, "cause": review.cause, "rule": review.rule,
        "workload": signals.workload, "sensitivity": signals.sensitivity, "eyes": review.eyes,
        "opened": item.at.isoformat(timespec="seconds"), "until": item.until.isoformat(timespec="seconds"),
    }  # fmt: skip
