"""reviews: the desk over HTTP: what waits, one item with its words, and what a reviewer does with it.

`GET /v1/reviews`, `GET /v1/reviews/ID` and `POST /v1/reviews/ID`, with a reviewer's token as `Authorization: Bearer`. A
caller who fetches an answer has a ticket instead: see `api`.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping
from contextlib import closing

import msgspec

from laneway.errors import RequestError, ReviewersError
from laneway.explain import attempt_line
from laneway.gateway import Gateway
from laneway.record import Resolution
from laneway.review.acts import Act, Words
from laneway.review.item import Item
from laneway.review.people import Person
from laneway.store import Reader

__all__ = ["MAX_BODY", "act", "item", "items", "who"]

MAX_BODY = 4 * 1024 * 1024
"""The longest body in bytes."""

_act = msgspec.json.Decoder(Act)


def who(gateway: Gateway, headers: Mapping[str, str]) -> Person:
    """The person whose token the request has. Raises RequestError."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    try:
        people = gateway.desk.people
        person = people.by_token(token.strip()) if people is not None and scheme.lower() == "bearer" else None
    except ReviewersError as error:
        raise RequestError(503, "reviewers_unusable", f"{error}") from None
    if person is None:
        wrong = "this token is not known" if token else "this needs a reviewer's token, as `Authorization: Bearer`"
        message = f"{wrong}; `laneway reviewers add NAME --role review` makes one"
        raise RequestError(401, "no_reviewer", message)
    return person


async def items(gateway: Gateway, by: Person) -> dict[str, object]:
    """All that waits, oldest first, without its words."""
    desk = gateway.desk
    gone = await asyncio.to_thread(desk.erased) if desk.items else set()
    data = [_brief(gateway, each, by, erased=id in gone) for id, each in desk.items.items()]
    return {"object": "list", "data": data}


async def item(gateway: Gateway, by: Person, id: str) -> dict[str, object]:
    """One item; with its words, and what may be done with it, for who may decide about it. Raises RequestError."""
    desk = gateway.desk
    sheet = await desk.view(id)
    found, words, extract = sheet.item, sheet.words, sheet.extract
    if not desk.shows(found, by):  # who asked must not read what nobody has released
        return _brief(gateway, found, by, erased=sheet.erased)
    classes, opening = gateway.active.policy.classes, found.opening
    return _brief(gateway, found, by, erased=sheet.erased) | {
        "request": [{"role": role, "content": text} for role, text in sheet.kept.messages()],
        "answer": None if sheet.answer is None else _words(sheet.answer),
        "edits": [_words(edit) for edit in sheet.edits],
        "extract": extract and {"text": extract.text, "to": extract.extract, "seen": desk.commitment(extract)},
        "comments": sheet.comments,
        "seen": "" if words is None else desk.commitment(words),
        "lanes": desk.allowed(found),
        "classes": list(classes[: classes.index(opening.signals.sensitivity)])
        if opening.signals.sensitivity in classes
        else [],
        "reasons": msgspec.to_builtins(opening.decision.reasons),
        "attempts": await asyncio.to_thread(_attempts, gateway, id),
    }


async def act(gateway: Gateway, by: Person, id: str, body: bytes) -> dict[str, object]:
    """What `by` does with an item, done. Raises RequestError, LogError, ContentError."""
    try:
        wanted = _act.decode(body)
    except msgspec.MsgspecError as error:
        raise RequestError(400, "invalid_body", f"the body is not what a reviewer says: {error}") from None
    made = await gateway.desk.resolve(id, by, wanted, gateway.active.policy.classes)
    return {"review": made.id, "action": made.action, "by": made.by, "final": made.final, "child": made.child}


def _attempts(gateway: Gateway, id: str) -> list[str]:
    """Each call that was made for it, as a sentence, with what the gate said of the answer."""
    with closing(Reader.open(gateway.log.path)) as reader:
        story = reader.story(id)
    outcome = story.outcome if story is not None and story.id == id else None
    return [attempt_line(each, gateway.active.policy.currency) for each in outcome.entry.attempts] if outcome else []


def _brief(gateway: Gateway, item: Item, by: Person, *, erased: bool) -> dict[str, object]:
    review, signals = item.review, item.opening.signals
    approved, extract = gateway.desk.standing(item)
    return {
        "review": review.id, "cause": review.cause, "rule": review.rule, "workload": signals.workload,
        "sensitivity": signals.sensitivity, "lane": item.lane, "opened": _told(item.at), "until": _told(item.until),
        "eyes": review.eyes, "comment": list(review.comment), "asker": "known" if review.asker else "unknown",
        "own": gateway.desk.own(item, by), "erased": erased,
        "approved": approved, "extract_approved": extract, "history": [_step(each) for each in item.resolutions],
    }  # fmt: skip


def _step(made: Resolution) -> dict[str, object]:
    return {"action": made.action, "by": made.by, "final": made.final, "content": made.content}


def _words(words: Words) -> dict[str, object]:
    return {"text": words.text, "tool_calls": [{"name": n, "arguments": a} for n, a in words.tool_calls]}


def _told(at: datetime.datetime) -> str:
    return at.isoformat(timespec="seconds")
