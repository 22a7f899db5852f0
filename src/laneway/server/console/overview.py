"""overview: the lanes and their state, what waits for people, and what was decided last."""

from __future__ import annotations

import asyncio

from laneway.people.document import Tone
from laneway.server.console.decisions import row
from laneway.server.console.site import Asked, Reply, Site
from laneway.server.status import lanes
from laneway.store.listing import Sought

__all__ = ["show"]

_TONES: dict[str, Tone] = {"open": "good", "half-open": "warn", "paused": "warn", "broken": "bad", "closed": "shut",
                           "shut": "shut"}  # fmt: skip
_NEWEST = 10


async def show(site: Site, asked: Asked) -> Reply:
    """The first page."""
    gateway = site.gateway
    page = await site.read(lambda log: log.page(Sought(), most=_NEWEST))
    kinds = {lane.name: lane.kind for lane in gateway.active.policy.lanes.values()}
    return await site.page(
        asked, "overview.html", "Overview", lanes=[_lane(each, kinds[str(each["lane"])]) for each in lanes(gateway)],
        refused=gateway.refused, failure=gateway.log.failure, rows=[row(each) for each in page.rows],
        waits=len(gateway.desk.items), levers=gateway.levers.says, numbers=await _numbers(site),
    )  # fmt: skip


async def _numbers(site: Site) -> list[tuple[str, int, int | None, str]]:
    """The week in three numbers, each with that of the week before: what, how many, how many then, where to read on."""
    counts = site.counts()
    if counts is None:
        return []
    made = await asyncio.to_thread(counts.review, "7d", site.gateway.log.now() // 1000)
    asked = (("escalated", made.escalated, "escalated"), ("cheap answers rejected", made.rejected, "rejected"),
             ("fallbacks", made.fallbacks, "fallbacks"))  # fmt: skip
    return [(told, sum(row.times for row in rows), sum(row.before or 0 for row in rows) if made.before else None,
             f"/review#{id}") for told, rows, id in asked]  # fmt: skip


def _lane(found: dict[str, object], kind: str) -> dict[str, object]:
    calls, failures = found["calls"], found["failures"]
    assert isinstance(calls, dict)
    assert isinstance(failures, list)
    told = ", ".join(f"{count:,} {code}" for code, count in sorted(calls.items())) or "none"
    last = (
        f"{failures[-1]['code']} at {failures[-1]['at'].replace('T', ' ').removesuffix('+00:00')}" if failures else ""
    )
    return found | {
        "kind": kind, "tone": _TONES.get(str(found["state"]), ""), "told": told, "failed": last,
        "p50": _seconds(found["p50"]), "p95": _seconds(found["p95"]),
    }  # fmt: skip


def _seconds(found: object) -> str:
    return f"{found:.2f} s" if isinstance(found, float) else ""
