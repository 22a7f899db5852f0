"""The OpenAI wire's other direction: a lane's bytes to an Answer, whole or as a stream of events.

Fed chunks as they come, `Stream` gives back whole events to pass on untouched, and the Answer at the end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import msgspec

from laneway.answer import Answer
from laneway.errors import LaneError

__all__ = ["Event", "Stream", "read_answer"]

_LONGEST_EVENT = 1 << 20
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_OVERLAP = 3  # The most bytes of a blank line that may already have come without ending it.


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Cached | None = None


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


class _Whole(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Piece(msgspec.Struct):
    index: int = 0
    delta: _Message | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Whole]
    model: str | None = None
    usage: _Usage | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Piece] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_completion = msgspec.json.Decoder(_Completion)
_chunk = msgspec.json.Decoder(_Chunk)


def _garbage(*, sent: bool) -> LaneError:
    return LaneError("garbage", "the lane's answer is not a chat completion", retry=False, sent=sent)


def read_answer(body: bytes) -> Answer:
    """The answer in a lane's whole body; LaneError `garbage` where it is no chat completion."""
    try:
        whole = _completion.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _garbage(sent=False) from None
    if not whole.choices:
        raise _garbage(sent=False)
    draft = _Draft()
    draft.about(whole.model, whole.usage)
    draft.add(whole.choices[0].message, whole.choices[0].finish_reason, whole=True)
    return draft.answer()


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it came, blank line included, and what it is."""

    raw: bytes
    done: bool = False
    usage_only: bool = False
    error: bool = False


class Stream:
    """Reads one streamed answer; chunks may be cut anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._sent = False
        self._draft = _Draft()

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. LaneError `garbage` where they are no chat completion."""
        self._buffer += chunk
        events: list[Event] = []
        start = 0
        for end in [match.end() for match in _BLANK_LINE.finditer(self._buffer, self._searched)]:
            events.append(self._event(bytes(self._buffer[start:end])))
            start = end
        del self._buffer[:start]
        if len(self._buffer) > _LONGEST_EVENT:
            raise _garbage(sent=self._sent)
        self._searched = max(0, len(self._buffer) - _OVERLAP)
        self._sent = self._sent or bool(events)
        return events

    def answer(self) -> Answer:
        """What has come so far; `complete` where the lane said why it stopped."""
        return self._draft.answer()

    def _event(self, raw: bytes) -> Event:
        if len(raw) > _LONGEST_EVENT:
            raise _garbage(sent=self._sent)
        data = b"\n".join(line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:"))
        if not data:  # A comment, often a ping.
            return Event(raw)
        if data == b"[DONE]":
            return Event(raw, done=True)
        try:
            chunk = _chunk.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise _garbage(sent=self._sent) from None
        if bytes(chunk.error) != b"null":
            return Event(raw, error=True)
        if chunk.choices is None:
            raise _garbage(sent=self._sent)
        self._draft.about(chunk.model, chunk.usage)
        for piece in chunk.choices:
            if piece.index == 0:
                self._draft.add(piece.delta, piece.finish_reason)
        return Event(raw, usage_only=chunk.usage is not None and not chunk.choices)


class _Draft:
    """An Answer in the making."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.calls: dict[int, tuple[list[str], list[str]]] = {}
        self.refusal = False
        self.finish: str | None = None
        self.model: str | None = None
        self.usage = _Usage()

    def about(self, model: str | None, usage: _Usage | None) -> None:
        self.model = model or self.model
        self.usage = usage or self.usage

    def add(self, message: _Message | None, finish: str | None, *, whole: bool = False) -> None:
        self.finish = finish or self.finish
        if message is None:
            return
        if message.content:
            self.text.append(message.content)
        self.refusal = self.refusal or bool(message.refusal)
        for i, call in enumerate(message.tool_calls or ()):
            self._call(i if whole else call.index, call.function or call.custom)
        self._call(-1, message.function_call)

    def _call(self, index: int, call: _Call | None) -> None:
        if call is not None:
            name, arguments = self.calls.setdefault(index, ([], []))
            name.append(call.name or "")
            arguments.append(call.arguments or "")

    def answer(self) -> Answer:
        details = self.usage.prompt_tokens_details
        calls = (call for _, call in sorted(self.calls.items()))
        return Answer(
            text="".join(self.text),
            finish=self.finish,
            tool_calls=tuple(("".join(name), "".join(arguments)) for name, arguments in calls),
            refusal=self.refusal or self.finish == "content_filter",
            tokens_in=self.usage.prompt_tokens,
            tokens_out=self.usage.completion_tokens,
            cached_tokens=details.cached_tokens if details else None,
            model=self.model,
            complete=self.finish is not None,
        )
