"""feedback: what somebody says of an answer in, one entry of the log out, once it is durable.

Owns what such a word may be: of an answer that was given, short, without identifiers, and only so many for one
answer. What words are worth is for `rejections` to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import NamedTuple

import msgspec

from laneway.classify.sensitivity import identifiers
from laneway.errors import RequestError, shown
from laneway.explain import ending
from laneway.record import Feedback, Outcome, Source
from laneway.rejections import rejected, standing
from laneway.store import Log, Reader, Story

__all__ = ["ANONYMOUS", "MOST_WORDS", "Put", "is_news", "named", "phrased", "put", "worded"]

ANONYMOUS = "anonymous"
"""Who speaks, where nobody says."""

_LONGEST_REASON, _LONGEST_NAME = 500, 100  # Characters.

MOST_WORDS = 20
"""So many words may be on record for one answer, and one more that rejects it where none of them does."""


class Put(NamedTuple):
    """What became of a word: whether it is `new` on record, and whether it `turned` what the answer counts as."""

    new: bool
    turned: bool


def worded(id: str, *, accepted: bool, reason: str, by: str, source: Source) -> Feedback:
    """These values as a Feedback. Raises RequestError where they are too long, unprintable or hold an identifier."""
    named(by, "user")
    phrased(reason, "reason")
    return Feedback(id=id, accepted=accepted, reason=reason, by=by, source=source)


def named(by: str, field: str) -> None:
    """Raise RequestError where `by`, given as `field`, is no name that can be kept."""
    if not 0 < len(by) <= _LONGEST_NAME or not by.isprintable():
        raise RequestError(400, "invalid_label", f"`{field}` must be 1 to {_LONGEST_NAME} printable characters", field)
    _without_identifiers(by, field)


def phrased(reason: str, field: str, *, least: int = 0) -> None:
    """Raise RequestError where `reason`, given as `field`, is nothing that can be kept, or shorter than `least`."""
    if not least <= len(reason) <= _LONGEST_REASON or not reason.isprintable():
        much = f"{least} to {_LONGEST_REASON}" if least else f"at most {_LONGEST_REASON}"
        message = f"`{field}` must be {much} printable characters on one line; it is not for content"
        raise RequestError(400, "invalid_reason", message, field)
    _without_identifiers(reason, field)


def _without_identifiers(text: str, field: str) -> None:
    found = _identifiers(text)
    if found:
        message = f"`{field}` holds what looks like an identifier ({', '.join(found)}); say it without: it is kept"
        raise RequestError(400, "identifier_found", message, field)


def _identifiers(text: str) -> list[str]:
    """The kinds of identifier in a text."""
    body = {"text": text}
    try:
        return sorted({kind for _, kind in identifiers(msgspec.json.encode(body).decode(), body)})
    except ValueError:
        return ["too costly to read"]


async def put(log: Log, word: Feedback) -> Put:
    """Put `word` on record; it is on disk when this returns, or the same one said the same last.

    One call at a time for one log. Raises RequestError where it is about no answer, or about one of which enough was
    said; LogError where the log cannot be read or written.
    """
    story = await asyncio.to_thread(_story, log, word.id)
    if story is None:
        message = "no such decision in this server's log; send an answer's Laneway-Decision header"
        raise RequestError(404, "unknown_decision", message, "decision")
    outcome = story.outcome.entry if story.outcome else None
    words = [logged.entry for logged in story.feedback]
    if not is_news(word, outcome, words):
        return Put(new=False, turned=False)
    await log.append(word)
    return Put(new=True, turned=rejected(words) != rejected([*words, word]))


def _story(log: Log, id: str) -> Story | None:
    with closing(Reader.open(log.path)) as reader:
        found = reader.story(id)
    return found if found is not None and found.id == id else None  # the start of an id is none


def is_news(word: Feedback, outcome: Outcome | None, words: Sequence[Feedback]) -> bool:
    """Whether `word` is to be added to the `words` on record of an answer; RequestError where it may not be."""
    if outcome is None or outcome.status != "answered":
        ended = "has not ended" if outcome is None else f"ended as {ending(outcome)}"
        message = f"decision {shown(word.id)} {ended}: there is no answer to speak of"
        raise RequestError(409, "not_answered", message, "decision")
    if standing(words).get((word.source, word.by)) == word:
        return False
    # Nobody can keep a rejection out by speaking first, however often.
    if len(words) >= MOST_WORDS and (word.accepted or rejected(words)):
        message = f"{len(words)} words on this answer are on record, and no more are taken"
        raise RequestError(429, "feedback_full", message, "decision")
    return True
