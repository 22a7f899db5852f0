"""The OpenAI wire's other direction: a lane's bytes to an Answer, whole or as a stream of events.

Fed chunks as they come, `Stream` gives back whole events to pass on untouched, and the Answer at the end.
A lane is not believed: what it says of itself is kept only where it is of the shape that it should have.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

import msgspec

from laneway.answer import Answer
from laneway.errors import LaneError

__all__ = ["DONE", "REFUSALS", "Event", "Kind", "Stream", "read_answer"]

REFUSALS = frozenset({"content_filter", "content_policy_violation"})
"""The error codes by which a lane says that it will not answer such a request."""

_LONGEST_EVENT = 1 << 20
_MOST_TOKENS = 1 << 31
_BLANK_LINE = re.compile(rb"\n\r?\n")
_BARE_CR = re.compile(rb"\r[^\n]")  # It may end lines too, but no lane that we know does that.
_OVERLAP = 2  # The most bytes of either that may already have come without ending it.
_FIELDS = (b"", b"event", b"id", b"retry")  # Beside `data`; a comment's is empty.
# Not the shape of a personal number or an account, which a lane may have from the prompt.
_MODEL = re.compile(r"(?!.*(\d{10}|\d{6}[-+A]\d{3}))[\w./:@+-]{1,100}", re.A)
_NOT_SAID = msgspec.Raw(b"null")

DONE = b"data: [DONE]\n\n"
"""How a stream ends."""

Kind = Literal["comment", "preface", "content", "usage", "error", "refusal", "done"]
"""A `preface` tells the reader nothing yet (a role, an empty delta); `content` does, or says why the lane stopped."""


class _Call(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int = 0
    function: _Call | None = None
    custom: _Call | None = None


class _Message(msgspec.Struct):
    """A whole message or a delta of one: every part is optional in both."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Call | None = None
    reasoning_content: object = None
    reasoning: object = None
    audio: object = None


class _Whole(msgspec.Struct):
    message: _Message
    index: int | None = 0
    finish_reason: str | None = None


class _Piece(msgspec.Struct):
    index: int | None = 0
    delta: _Message | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Whole]
    model: str | None = None
    usage: msgspec.Raw = _NOT_SAID


class _Chunk(msgspec.Struct):
    choices: list[_Piece] | None = None
    model: str | None = None
    usage: msgspec.Raw = _NOT_SAID
    error: msgspec.Raw = _NOT_SAID


class _Error(msgspec.Struct):
    code: object = None
    type: object = None


class _Failed(msgspec.Struct):
    error: _Error


_failed = msgspec.json.Decoder(_Failed)
_completion = msgspec.json.Decoder(_Completion)
_chunk = msgspec.json.Decoder(_Chunk)
_object = msgspec.json.Decoder(dict[str, object])


def _garbage(*, sent: bool) -> LaneError:
    return LaneError("garbage", "the lane's answer is not a chat completion", retry=False, sent=sent)


def _refuses(body: bytes) -> bool:
    """Whether an error says that the lane will not answer such a request."""
    try:
        error = _failed.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return any(isinstance(word, str) and word in REFUSALS for word in (error.code, error.type))


def read_answer(body: bytes) -> Answer:
    """The answer in a lane's whole body; LaneError `garbage` where it is no chat completion."""
    try:
        whole = _completion.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if _refuses(body):
            raise LaneError("refused", "the lane will not answer such a request", cause="refusal") from None
        raise _garbage(sent=False) from None
    if len(whole.choices) != 1 or whole.choices[0].index:  # We refuse `n` above 1, so others are nobody's answer.
        raise _garbage(sent=False)
    draft = _Draft()
    draft.about(whole.model, whole.usage)
    draft.add(whole.choices[0].message, whole.choices[0].finish_reason, whole=True)
    return draft.answer()


class Event(NamedTuple):
    """One event as it came, blank line included, and what it is."""

    raw: bytes
    kind: Kind


class Stream:
    """Reads one streamed answer up to `[DONE]`; chunks may be cut anywhere.

    Without `keep` only the first words of its text are kept, so that an endless one costs no memory.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._sent = False
        self._done = False
        self._draft = _Draft(keep=keep)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. LaneError `garbage` where they are no chat completion."""
        events: list[Event] = []
        plain = b"\r" not in chunk and b"\n\n\n" not in chunk
        if plain and chunk.endswith(b"\n\n") and not self._buffer and not self._done:
            # Nothing but whole events, as most lanes send them: the same as below, by a glance.
            for raw in chunk[:-2].split(b"\n\n"):
                if not self._done:
                    events.append(self._event(raw + b"\n\n"))
            self._sent = True
            return events
        self._buffer += chunk
        start = 0
        for end in [match.end() for match in _BLANK_LINE.finditer(self._buffer, self._searched)]:
            if not self._done:
                events.append(self._event(bytes(self._buffer[start:end])))
            start = end
        if self._done:
            self._buffer.clear()
            return events
        del self._buffer[:start]
        if len(self._buffer) > _LONGEST_EVENT or _BARE_CR.search(self._buffer, 0 if events else self._searched):
            raise _garbage(sent=self._sent)
        self._searched = max(0, len(self._buffer) - _OVERLAP)
        self._sent = self._sent or bool(events)
        return events

    @property
    def model(self) -> str | None:
        """What the lane has called itself so far, where that is a name."""
        return self._draft.name

    def answer(self) -> Answer:
        """What has come so far; `complete` where the lane said why it stopped."""
        return self._draft.answer()

    def _event(self, raw: bytes) -> Event:
        if len(raw) > _LONGEST_EVENT or (b"\r" in raw and _BARE_CR.search(raw)):
            raise _garbage(sent=self._sent)
        data = self._data(raw)
        if not data:  # A comment, often a ping.
            return Event(raw, "comment")
        if data == b"[DONE]":
            self._done = True
            return Event(raw, "done")
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _garbage(sent=self._sent) from None
        if chunk.error != _NOT_SAID:
            return Event(raw, "refusal" if _refuses(data) else "error")
        if chunk.choices is None:
            raise _garbage(sent=self._sent)
        self._draft.about(chunk.model, chunk.usage)
        if not chunk.choices:
            return Event(raw, "preface" if chunk.usage == _NOT_SAID else "usage")
        told = False
        for piece in chunk.choices:
            if piece.index:
                raise _garbage(sent=self._sent)
            told = self._draft.add(piece.delta, piece.finish_reason) or told
        return Event(raw, "content" if told else "preface")

    def _data(self, raw: bytes) -> bytes:
        """An event's data; LaneError where a line is none of an event's, such as a line of an HTML page."""
        if raw.startswith(b"data:") and raw.find(b"\n") == len(raw) - 2:
            return raw[5:].strip()
        data = []
        for line in raw.splitlines():
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.strip())
            elif field not in _FIELDS:
                raise _garbage(sent=self._sent)
        return b"\n".join(data)


class _Draft:
    """An Answer in the making. What it wrote beside its text and tool calls counts by its length alone."""

    def __init__(self, *, keep: bool = True) -> None:
        self.keep = keep
        self.text: list[str] = []
        self.written = 0
        self.calls: dict[int, tuple[list[str], list[str]]] = {}
        self.refusal = False
        self.finish: str | None = None
        self.model: str | None = None
        self.usage = _NOT_SAID

    def about(self, model: str | None, usage: msgspec.Raw) -> None:
        self.model = model or self.model
        if usage != _NOT_SAID:
            self.usage = usage

    @property
    def name(self) -> str | None:
        """The model's name, where it is one that may stand in a record."""
        return self.model if self.model and _MODEL.fullmatch(self.model) else None

    def add(self, message: _Message | None, finish: str | None, *, whole: bool = False) -> bool:
        """Add a piece; True where it tells the reader something, or why the lane stopped."""
        self.finish = finish or self.finish
        if message is None:
            return bool(finish)
        if message.content:
            self.written += len(message.content.encode())
            if self.keep or (not self.text and message.content.strip()):
                self.text.append(message.content)
        self.refusal = self.refusal or bool(message.refusal)
        for i, call in enumerate(message.tool_calls or ()):
            self._call(i if whole else call.index, call.function or call.custom)
        self._call(-1, message.function_call)
        aside = message.refusal or message.reasoning_content or message.reasoning
        if isinstance(aside, str):
            self.written += len(aside.encode())
        told = message.content or message.tool_calls or message.function_call or aside or message.audio or finish
        return bool(told)

    def _call(self, index: int, call: _Call | None) -> None:
        if call is not None:
            name, arguments = self.calls.setdefault(index, ([], []))
            name.append(call.name or "")
            arguments.append(call.arguments or "")

    def answer(self) -> Answer:
        calls = tuple(("".join(name), "".join(arguments)) for _, (name, arguments) in sorted(self.calls.items()))
        usage = _said(self.usage)
        details = usage.get("prompt_tokens_details")
        return Answer(
            text="".join(self.text),
            finish=self.finish,
            tool_calls=calls,
            refusal=self.refusal or self.finish == "content_filter",
            written=self.written + sum(len(part.encode()) for call in calls for part in call),
            tokens_in=_count(usage.get("prompt_tokens")),
            tokens_out=_count(usage.get("completion_tokens")),
            cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
            model=self.name,
            complete=self.finish is not None,
        )


def _said(usage: msgspec.Raw) -> dict[str, object]:
    """A lane's `usage`, which is not worth refusing its answer for."""
    try:
        return _object.decode(usage)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _count(said: object) -> int | None:
    """A number of tokens; None where it is no number that a lane could have counted."""
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 <= said < _MOST_TOKENS else None
