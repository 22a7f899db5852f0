"""acts: what a reviewer may do with an item, as values: the words, the act, and whether the item takes it."""

from __future__ import annotations

import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from laneway.answer import Answer
from laneway.decision import Decision
from laneway.errors import RequestError, did_you_mean, shown
from laneway.policy import Policy
from laneway.policy import Review as Rule
from laneway.record import Action, Feedback, Opening, Resolution, Review
from laneway.request import strings
from laneway.store.content import Part

__all__ = [
    "COMMENT_DAYS", "DAY", "FETCH_DAYS", "Act", "Kept", "Waits", "Words", "anew", "behind", "checked", "current",
    "final", "heard", "pieces", "signed",
]  # fmt: skip

FETCH_DAYS = 7
"""How long a released answer waits for its caller."""
COMMENT_DAYS = 183
"""How long people's comments are kept."""
DAY = 86_400_000_000
"""A day in microseconds."""

_LONGEST = 2**20
_NOT_SAID = ("role", "name", "tool_call_id")
_SAID = ("content", "text", "arguments", "refusal")
_TELLS = 12  # characters; less stands in many a text
_CARRIED = ("laneway-user", "laneway-subject")


class Words(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an answer says: its text, the tools that it calls (name, arguments), and what it used (tokens)."""

    text: str = ""
    tool_calls: tuple[tuple[str, str], ...] = ()
    tokens: tuple[int, int] = (0, 0)
    extract: str = ""
    """The class for which an extract was written."""

    @classmethod
    def of(cls, answer: Answer) -> Words:
        """What a lane's answer says."""
        return cls(answer.text, answer.tool_calls, (answer.tokens_in or 0, answer.tokens_out or 0))

    def encoded(self) -> bytes:
        """As it is kept, and hashed."""
        return msgspec.json.encode(self)

    @classmethod
    def decoded(cls, data: bytes) -> Words:
        """As it was kept."""
        return msgspec.json.decode(data, type=cls)


class Kept(msgspec.Struct, frozen=True):
    """What a client asked: its body and its labels, and by which rule it waits."""

    body: bytes
    headers: dict[str, str]
    rule: Rule = Rule(id="gate")

    @classmethod
    def of(cls, policy: Policy, decision: Decision, said: tuple[bytes, Mapping[str, str]], rule: str = "") -> Kept:
        """What is kept of a request, and by which rule: the one that asks for approval, else what holds it."""
        body, headers = said
        asks = next((r.rule for r in decision.reasons if r.code == "approval-required"), "")
        approval = next((each for each in policy.reviews if each.id == asks), None)
        labels = {name: value for name, value in headers.items() if name.startswith("laneway-")}
        return cls(body, labels, approval or Rule(id=rule or decision.reasons[0].rule))

    def encoded(self) -> bytes:
        """As it is kept."""
        return msgspec.json.encode({"body": self.body, "headers": self.headers})

    @classmethod
    def decoded(cls, data: bytes) -> Kept:
        """As it was kept."""
        raw = msgspec.json.decode(data, type=_Asked)
        return cls(raw.body, raw.headers)

    def messages(self) -> list[tuple[str, str]]:
        """(role, text) of each message, as a person reads it."""
        try:
            body = msgspec.json.decode(self.body, type=_Body)
        except msgspec.MsgspecError:
            return []
        return [(str(message.get("role", "")), _text(message)) for message in body.messages]

    def texts(self) -> list[str]:
        """Every text that somebody wrote, by itself: each message, and each of its parts."""
        try:
            body = msgspec.json.decode(self.body, type=_Body)
        except msgspec.MsgspecError:
            return []
        said = [{k: v for k, v in message.items() if k not in _NOT_SAID} for message in body.messages]
        parts = [
            text
            for each in said
            for place, text in strings(each)
            if place.split(".")[-1] in _SAID and len(text) >= _TELLS
        ]
        return [*(_text(message) for message in body.messages if message.get("role") == "user"), *parts]

    def onward(self, act: Act, opening: Opening) -> tuple[bytes, dict[str, str]]:
        """The request that an act sends on: the same to another lane, or an extract with a lower label."""
        body: dict[str, object] = msgspec.json.decode(self.body)
        metadata = body.get("metadata")
        written = metadata if isinstance(metadata, Mapping) else {}
        if act.action == "reclassify":
            carried = {k: v for k, v in self.headers.items() if k in _CARRIED}
            carried |= {k.lower(): v for k, v in written.items() if k.lower() in _CARRIED}
            said = {"model": "auto", "messages": [{"role": "user", "content": act.text}]}
            labels = {"laneway-sensitivity": act.to, "laneway-latency": opening.signals.latency}
            return msgspec.json.encode(said), carried | labels
        body |= {"model": f"lane/{act.lane}", "stream": False}
        body.pop("stream_options", None)
        floor = {"laneway-sensitivity": opening.signals.sensitivity}
        work = {"laneway-workload": opening.signals.workload} if opening.signals.workload else {}
        if written:  # the labels there would be given twice
            body["metadata"] = {k: v for k, v in written.items() if k.lower() not in (*floor, *work)}
        return msgspec.json.encode(body), self.headers | floor | work


class _Asked(msgspec.Struct):
    body: bytes
    headers: dict[str, str]


class _Body(msgspec.Struct):
    messages: list[dict[str, object]]


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a reviewer does: with `text` in the answer's place, or to `lane`, or as an extract of class `to`.

    `seen` is the hash of the words that they had before them; `seconds` for how long.
    """

    action: Action
    comment: str = ""
    text: str = ""
    lane: str = ""
    to: str = ""
    seen: str = ""
    seconds: float | None = None


class Waits(Protocol):
    """As much of an item as decides what may be done with it."""

    @property
    def review(self) -> Review:
        """What was opened."""

    @property
    def opening(self) -> Opening:
        """What was asked, and decided."""


def current(answer: Words | None, edits: Sequence[Words]) -> Words | None:
    """The words that are up for approval: the newest edit, or the answer."""
    return edits[-1] if edits else answer


def final(resolutions: Iterable[Resolution]) -> Resolution | None:
    """The one that closed the item."""
    return next((each for each in resolutions if each.final), None)


def signed(before: Iterable[Resolution], action: Action, content: str, by: str, people: Container[str]) -> int:
    """How many people stand behind the same words, `by` among them; only `people` count, who still may."""
    kinds = ("reclassify",) if action == "reclassify" else ("approve", "edit")
    return len(
        {by, *(each.by for each in before if each.content == content and each.action in kinds and each.by in people)}
    )


def anew(done: Sequence[Resolution], made: Resolution) -> None:
    """Who stands behind words does so once. Raises RequestError where `made` would add nothing."""
    kinds = ("reclassify",) if made.action == "reclassify" else ("approve", "edit")
    steps = [each for each in done if each.action in kinds]
    same = bool(steps and made.content) and steps[-1].content == made.content  # else these words are up again
    if same and not made.final and made.by in {each.by for each in steps if each.content == made.content}:
        raise RequestError(409, "already_approved", "you have approved these words already")


def behind(done: Sequence[Resolution], kinds: Sequence[Action], people: Container[str]) -> int:
    """How many of `people` stand behind the newest words that acts of these kinds are about."""
    steps = [each for each in done if each.action in kinds]
    return len({each.by for each in steps if each.content == steps[-1].content and each.by in people})


def heard(lane: str | None, before: Iterable[Resolution], made: Resolution) -> Feedback | None:
    """What a resolution says of the lane whose answer it was."""
    if lane is None or not made.final or made.action not in ("approve", "edit", "reject"):
        return None
    good = made.action == "approve" and not any(each.action == "edit" for each in before)
    return Feedback(id=made.id, accepted=good, by=made.by, source="reviewer", reason=made.action)


def pieces(act: Act, made: Resolution, words: Words | None, now: int, until: int) -> Iterator[tuple[Part, bytes, int]]:
    """What must be on disk before `made` is, and until when; the item waits `until` then. UTC, microseconds."""
    if act.comment:
        yield "comment", act.comment.encode(), now + COMMENT_DAYS * DAY
    if words is None:
        return
    if act.action in ("edit", "reclassify") and not made.final:
        yield "edit" if act.action == "edit" else "extract", words.encoded(), until + DAY
    elif act.action in ("approve", "edit") and made.final:
        yield "released", words.encoded(), now + FETCH_DAYS * DAY


def checked(
    act: Act, item: Waits, words: Words | None, kept: Kept, lanes: Sequence[str], classes: tuple[str, ...]
) -> Words | None:
    """The words that the act is about. Raises RequestError where the item does not take it.

    `words` are up for approval, `lanes` are where the request may be sent, `classes` from public to strictest.
    """
    if act.action in item.review.comment and not act.comment.strip():
        raise RequestError(400, "comment_needed", f"the policy wants a comment to {act.action} this", "comment")
    if max(len(act.comment), len(act.text)) > _LONGEST:
        raise RequestError(400, "too_long", f"a comment or a text has at most {_LONGEST} characters")
    if act.action in ("approve", "edit"):
        return _approved(act, words)
    if act.action == "send":
        if act.lane not in lanes:
            hint = did_you_mean(act.lane, lanes) or f"; it may go to {', '.join(lanes) or 'none'}"
            raise RequestError(400, "lane_not_allowed", f"this cannot be sent to `{shown(act.lane)}`{hint}", "lane")
        return None
    if act.action == "reclassify":
        return _extract(act, item, kept, classes)
    if act.action == "expire":
        raise RequestError(400, "unknown_action", "only time lets an item expire", "action")
    return None


def _approved(act: Act, words: Words | None) -> Words:
    if words is None:
        raise RequestError(400, "nothing_to_approve", "no lane has answered: send it to a lane, or reject it", "action")
    if act.action == "approve":
        return words
    if not act.text.strip():
        raise RequestError(400, "nothing_written", "an edit is the whole answer as it is to be released", "text")
    return Words(act.text, words.tool_calls, words.tokens)


def _extract(act: Act, item: Waits, kept: Kept, classes: tuple[str, ...]) -> Words:
    was = item.opening.signals.sensitivity
    lower = classes[: classes.index(was)] if was in classes else ()
    if act.to not in lower:
        known = f"; it may be {', '.join(lower)}" if lower else ""
        raise RequestError(400, "class_not_lower", f"`{shown(act.to)}` is no lower class than {was}{known}", "to")
    if not act.text.strip():
        raise RequestError(400, "nothing_written", "an extract is what may be told of the request", "text")
    told = _plain(act.text)
    for text in kept.texts():
        if _plain(text) and _plain(text) in told:
            raise RequestError(400, "original_text", "that holds the original whole, which is never released under "
                               "a lower label: write what may be told of it", "text")  # fmt: skip
    return Words(act.text, extract=act.to)


def _plain(text: str) -> str:
    """As it is compared: letters and digits alone, however they are capitalised, spaced or composed."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).casefold() if c.isalnum())


def _text(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    rest = {key: value for key, value in message.items() if key != "role"}
    parts = [text for place, text in strings(rest) if place.endswith(".text")]
    return "\n".join(parts) if parts else msgspec.json.encode(rest).decode()
