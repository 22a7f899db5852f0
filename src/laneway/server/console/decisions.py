"""decisions: the list of what was decided, by the page and by what one looks for; and one decision as a story."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import get_args
from urllib.parse import quote, urlencode

from laneway.errors import LogError, PolicyError
from laneway.people.page import contents, sections_html
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.receipt import Place, at, begun, called, cause, ended, receipt, stage
from laneway.receipt_page import head_of
from laneway.record import Status
from laneway.server.console.site import Asked, Denied, Reply, Site
from laneway.store.listing import Listed, Listing, Page, Sought
from laneway.store.story import Story

__all__ = ["archived", "one", "row", "show"]

_KEYS = ("id", "since", "until", "workload", "class", "lane", "rule", "rejected", "status", "chain")
_NONE = "(none)"
_OPEN = "open"
_STATUSES: tuple[str, ...] = (*get_args(Status), _OPEN)
_MOST = 50


async def show(site: Site, asked: Asked) -> Reply:
    """A page of the decisions that are looked for, the newest first."""
    sought = {key: asked.query[key] for key in _KEYS if asked.query.get(key)}
    if "id" in sought:
        return Reply.to(f"/decisions/{quote(sought['id'], safe='')}")
    wanted, before, after = _sought(sought), _number(asked.query, "before"), _number(asked.query, "after")
    page = await site.read(lambda log: log.page(wanted, before=before, after=after, most=_MOST))
    policy = site.gateway.active.policy
    choices = {
        "workload": (_NONE, *policy.workloads), "classes": policy.classes, "lanes": tuple(policy.lanes),
        "rules": tuple(policy.lines), "statuses": _STATUSES,
    }  # fmt: skip
    older = None if page.older is None else _url(sought, before=page.older)
    newer = None if page.newer is None else _url(sought, after=page.newer)
    return await site.page(
        asked, "decisions.html", "Decisions", sought=sought, choices=choices, rows=[row(each) for each in page.rows],
        older=older, newer=newer, newest=_url(sought) if before is not None or after is not None else None,
        told=_told(page, sought), reached=page.reached,
        searching=page.reached is not None and not page.rows and older is not None,
    )  # fmt: skip


async def one(site: Site, asked: Asked, id: str) -> Reply:
    """The story of one decision."""

    def read(log: Listing) -> tuple[Story, Policy | None, list[Place], str | None, str | None]:
        story = log.story(id)
        if story is None:
            near = log.nearest(id)
            link = ("/decisions", "All decisions") if near is None else (f"/decisions/{near}", f"The nearest is {near}")
            raise Denied(404, "There is no such decision", f"No decision {id[:60]} is in the log.", link)
        records = log.records(story.id)
        first = records[0].seq if records else 0
        older, newer = log.page(Sought(), before=first, most=1), log.page(Sought(), after=first, most=1)
        return (story, archived(log, story), [Place(*each) for each in records],
                _beside(older, story.id), _beside(newer, story.id))  # fmt: skip

    story, policy, places, older, newer = await site.read(read)
    if story.id != id:
        return Reply.to(f"/decisions/{story.id}")
    sections = receipt(story, policy, places)
    html = site.pages.html
    return await site.page(
        asked, "decision.html", f"Decision {story.id}", head=html(head_of(story, places)), contents=contents(sections),
        main=html(sections_html(sections)), older=older, newer=newer, policy_hash=story.opening.policy,
        waits=story.id in site.gateway.desk.items,
    )  # fmt: skip


def archived(log: Listing, story: Story) -> Policy | None:
    """The policy by which it was decided, None where its grammar is not read any more.

    Raises LogError where the log does not hold it.
    """
    text = log.policy_text(story.opening.policy)
    if text is None:
        raise LogError(f"the log does not hold policy {story.opening.policy[:12]}; run `laneway log verify`")
    try:
        return parse(text, f"policy {story.opening.policy[:12]}")
    except PolicyError:
        return None


def row(listed: Listed) -> dict[str, object]:
    """A decision as a row of a list."""
    story = listed.story
    if story is None:
        return {"id": listed.id, "problem": listed.problem, "story": False, "when": "unknown", "iso": ""}
    reason, after = cause(story)
    told, tone = ended(story)
    people, wait = stage(story)
    when = begun(story)
    return {
        "id": story.id, "problem": listed.problem, "story": True, "when": at(when), "iso": when.isoformat(),
        "workload": story.opening.signals.workload, "class": story.opening.signals.sensitivity,
        "lane": story.outcome.entry.lane if story.outcome else None, "called": _hops(story), "rule": reason.rule,
        "says": reason.says or reason.effect, "after": after,
        "rejected": [(each.lane, each.effect) for each in story.opening.decision.rejected],
        "ended": told, "tone": tone, "stage": people, "stage_tone": wait,
    }  # fmt: skip


def _hops(story: Story) -> str:
    """The lanes that were called, where it was more than the one that answered."""
    lanes = called(story)
    return lanes if ">" in lanes else ""


def _beside(page: Page, id: str) -> str | None:
    return next((f"/decisions/{each.id}" for each in page.rows if each.id != id), None)


def _sought(query: Mapping[str, str]) -> Sought:
    status, rule, work = query.get("status"), query.get("rule"), query.get("workload")
    if status is not None and status not in _STATUSES:
        raise Denied(400, "This cannot be looked for", f"No request ends as that; it is one of {', '.join(_STATUSES)}.",
                     ("/decisions", "All decisions"))  # fmt: skip
    return Sought(
        workload="" if work == _NONE else work, sensitivity=query.get("class"), lane=query.get("lane"), rule=rule,
        rejected=query.get("rejected"), status=None if status in (None, _OPEN) else status,  # type: ignore[arg-type]
        open=status == _OPEN, damaged=query.get("chain") == "damaged", since=_moment(query, "since"),
        until=_moment(query, "until"), matches=(lambda story: cause(story)[0].rule == rule) if rule else _any,
    )  # fmt: skip


def _any(_: Story) -> bool:
    return True


def _moment(query: Mapping[str, str], key: str) -> datetime.datetime | None:
    if key not in query:
        return None
    try:
        made = datetime.datetime.fromisoformat(query[key])
    except ValueError:
        raise Denied(400, "This cannot be looked for", f"`{key}` is a moment such as 2026-11-24T09:00.",
                     ("/decisions", "All decisions")) from None  # fmt: skip
    return made if made.tzinfo else made.replace(tzinfo=datetime.UTC)


def _number(query: Mapping[str, str], key: str) -> int | None:
    text = query.get(key, "")
    return int(text) if text.isdecimal() and len(text) < 18 else None


def _url(sought: Mapping[str, str], **place: int) -> str:
    query = urlencode({**sought, **place})
    return f"/decisions?{query}" if query else "/decisions"


def _told(page: Page, sought: Mapping[str, str]) -> str:
    if not page.rows:
        return "Nothing was asked yet." if not sought else "No decision was found."
    first, last = page.rows[0].story, page.rows[-1].story
    if first is None or last is None:
        return f"{len(page.rows)} decisions"
    count = f"{len(page.rows)} decision{'s' if len(page.rows) > 1 else ''}"
    return f"{count}, from {at(begun(last))} to {at(begun(first))} UTC, the newest first"
