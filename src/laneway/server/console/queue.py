"""queue: what waits for people, one item with its words, and what a reviewer does with it.

Words of clients and models are text in a box, never HTML. Who may only audit sees what waits, and no words.
"""

from __future__ import annotations

import asyncio
import datetime
import time

from laneway.errors import ContentError, LogError, RequestError
from laneway.people.page import sections_html
from laneway.receipt import at, receipt
from laneway.record import Action, Resolution
from laneway.review.acts import Act, Words
from laneway.review.item import Item
from laneway.review.sheet import Sheet
from laneway.server.console.decisions import archived
from laneway.server.console.site import Asked, Denied, Reply, Site
from laneway.store.listing import Listing

__all__ = ["act", "one", "show"]

_DONE: dict[Action, str] = {"approve": "approved", "edit": "edited", "reject": "rejected", "send": "sent on",
                            "reclassify": "reclassified", "expire": "expired"}  # fmt: skip
_ACTIONS: tuple[Action, ...] = ("approve", "edit", "reject", "send", "reclassify")
_CAUSES = {"approval": "must be approved", "weak": "a weak answer", "hold": "held before any lane was called",
           "failure": "no lane answered"}  # fmt: skip
_MOST = 200


async def show(site: Site, asked: Asked) -> Reply:
    """What waits, what is due first."""
    items = sorted(site.gateway.desk.items.values(), key=lambda item: item.review.until)
    query = asked.query
    kept = {key: query[key] for key in ("workload", "class", "cause") if query.get(key)}
    fits = [item for item in items if _fits(item, kept)]
    gone = await asyncio.to_thread(site.gateway.desk.erased) if items else set()
    rows = [_row(site, asked, item) | {"erased": item.review.id in gone} for item in fits[:_MOST]]
    policy = site.gateway.active.policy
    choices = {"workload": tuple(policy.workloads), "class": policy.classes, "cause": tuple(_CAUSES)}
    done = query.get("done", "")
    return await site.page(asked, "queue.html", "Queue", rows=rows, all=len(items), fits=len(fits), sought=kept,
                           choices=choices, done=done if done in _DONE.values() else "")  # fmt: skip


async def one(
    site: Site, asked: Asked, id: str, wrong: str = "", status: int = 200, field: str = ""
) -> Reply:  # fmt: skip
    """One item; where something was wrong, with that and in which field, and with what was written."""
    assert asked.person is not None
    assert asked.session is not None
    desk, reviewer = site.gateway.desk, asked.person.role == "review"
    try:
        item = desk.item(id)
        sheet = await desk.view(id)
    except RequestError as error:
        if error.status == 409:
            raise Denied(409, "This was decided already", f"{error}.", (f"/decisions/{id}", "Its story")) from None
        raise Denied(error.status, "This is not there", f"{error}.", ("/queue", "The queue")) from None
    except ContentError as error:
        raise Denied(503, "This cannot be shown now", f"{error}.", ("/queue", "The queue")) from None
    asked.session.opened.setdefault(id, time.monotonic())

    def read(log: Listing) -> str:
        story = log.story(id)
        assert story is not None
        wanted = ("labels", "lanes", "why", "evidence", "happened")
        return sections_html(s for s in receipt(story, archived(log, story), ()) if s.id in wanted)

    story = await site.read(read)
    values: dict[str, object] = {"answer": None, "current": None, "edits": [], "messages": [], "seen": "", "lanes": [],
                                 "lower": [], "comments": [], "proposed": Words()}  # fmt: skip
    own = desk.own(item, asked.person)
    if reviewer and not own and not sheet.erased:  # who asked must not read what nobody has released
        values = _words(site, sheet)
    values["draft"] = {key: asked.form.get(key, "") for key in ("text", "extract", "comment", "lane", "to", "action")}
    return await site.page(
        asked, "item.html", f"Review {id}", status=status, item=_row(site, asked, item), wrong=wrong, field=field,
        history=[_step(each) for each in item.resolutions], story=site.pages.html(story), reviewer=reviewer,
        own=own, erased=sheet.erased, **values,
    )  # fmt: skip


async def act(site: Site, asked: Asked, id: str) -> Reply:
    """What a reviewer does, done; or the item again, with what was wrong and nothing lost."""
    assert asked.person is not None
    assert asked.session is not None
    form = asked.form
    action = next((each for each in _ACTIONS if each == form.get("action")), None)
    if action is None:
        return await one(site, asked, id, "Choose what to do with it.", 400)
    opened = asked.session.opened.get(id)
    text = form.get("extract" if action == "reclassify" else "text", "").replace("\r\n", "\n")
    wanted = Act(
        action=action, comment=form.get("comment", "").strip(), text=text if action in ("edit", "reclassify") else "",
        lane=form.get("lane", "") if action == "send" else "", to=form.get("to", "") if action == "reclassify" else "",
        seen=form.get("seen", ""), seconds=None if opened is None else round(time.monotonic() - opened, 1),
    )  # fmt: skip
    try:
        made = await site.gateway.desk.resolve(id, asked.person, wanted, site.gateway.active.policy.classes)
    except RequestError as error:
        if error.code in ("review_closed", "review_expired", "unknown_review"):
            written = tuple(filter(None, (form.get("text"), form.get("extract"), form.get("comment"))))
            raise Denied(409, "This was decided already", f"{error}. Nothing that you wrote was released.",
                         (f"/decisions/{id}", "Its story"), written) from None  # fmt: skip
        field = {"text": "extract"}.get(error.param or "", "") if action == "reclassify" else ""
        return await one(site, asked, id, f"Nothing was done: {error}.", error.status, field or error.param or "")
    except (LogError, ContentError) as error:
        return await one(site, asked, id, f"Nothing was done: {error}.", 503)
    asked.session.opened.pop(id, None)
    return Reply.to(f"/queue?done={_DONE[made.action]}" if made.final else f"/queue/{id}")


def _fits(item: Item, kept: dict[str, str]) -> bool:
    signals = item.opening.signals
    return (kept.get("workload") in (None, signals.workload) and kept.get("class") in (None, signals.sensitivity)
            and kept.get("cause") in (None, item.review.cause))  # fmt: skip


def _row(site: Site, asked: Asked, item: Item) -> dict[str, object]:
    review, signals = item.review, item.opening.signals
    left = item.until - datetime.datetime.fromtimestamp(site.gateway.log.now() / 1e9, datetime.UTC)
    approved, extract = site.gateway.desk.standing(item)
    return {
        "id": review.id, "workload": signals.workload or "none", "class": signals.sensitivity,
        "lane": item.lane or "none", "cause": _CAUSES[review.cause], "rule": review.rule, "opened": at(item.at),
        "iso": item.at.isoformat(), "until": at(item.until), "left": _left(left), "eyes": review.eyes,
        "approved": approved, "extract_approved": extract, "asker": "known" if review.asker else "not said",
        "needs": review.comment, "own": asked.person is not None and site.gateway.desk.own(item, asked.person),
        "rejected": [(each.lane, each.effect) for each in item.opening.decision.rejected],
        "status": "review", "soon": left < datetime.timedelta(hours=4),
    }  # fmt: skip


def _left(left: datetime.timedelta) -> str:
    hours, rest = divmod(max(int(left.total_seconds()), 0), 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} h {rest // 60} min" if hours else f"{rest // 60} min"


def _words(site: Site, sheet: Sheet) -> dict[str, object]:
    desk, policy, item, current = site.gateway.desk, site.gateway.active.policy, sheet.item, sheet.words
    was = item.opening.signals.sensitivity
    return {
        "messages": sheet.kept.messages(), "answer": sheet.answer, "edits": sheet.edits, "current": current,
        "proposed": sheet.extract or Words(), "comments": sheet.comments,
        "seen": "" if current is None else desk.commitment(current), "lanes": desk.allowed(item),
        "lower": policy.classes[: policy.classes.index(was)] if was in policy.classes else (),
    }  # fmt: skip


def _step(made: Resolution) -> tuple[str, str]:
    return f"{_DONE[made.action]} by {made.by}", "with a comment" if made.comment else ""
