"""week: the review of the last day, week or month, from counts that are kept beside the log."""

from __future__ import annotations

import asyncio

from laneway.people.page import contents
from laneway.server.console.site import Asked, Denied, Reply, Site
from laneway.weekly.page import body, head
from laneway.weekly.telling import sections

__all__ = ["show"]

_TIMES = {"24h": "the last day", "7d": "the last week", "30d": "the last month"}


async def show(site: Site, asked: Asked) -> Reply:
    """The review, as `laneway review` has it but for advice, which takes a policy to be tried."""
    since = asked.query.get("since", "7d")
    if since not in _TIMES:
        raise Denied(400, "There is no such review", f"It is of {', '.join(_TIMES)}.", ("/review", "The last week"))
    counts = site.counts()
    if counts is None:
        return await site.page(asked, "counting.html", "Review", link=asked.path)
    made = await asyncio.to_thread(counts.review, since, site.gateway.log.now() // 1000)
    parts = sections(made)
    html = site.pages.html
    return await site.page(
        asked, "week.html", f"Review of {_TIMES[since]}", head=html(head(made)),
        main=html(body(made, lambda id: f"/decisions/{id}")), contents=contents(parts), since=since, times=_TIMES,
    )  # fmt: skip
