"""script: what a ScriptedLane answers, and the many ways in which it may be wrong, as bytes.

In come the request, the answer and the fault; out come the pieces to write. What goes wrong with the connection
itself is `line`'s part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal, get_args

import msgspec

__all__ = ["FAILED", "FAULTS", "JSON", "SSE", "Answer", "Fault", "Scripted", "Seen", "answered", "bytewise", "chunk",
           "event", "head", "plain", "refused"]  # fmt: skip

Fault = Literal[
    "400", "401", "404", "418", "429", "500", "503", "redirect",
    "hang", "slow-first-byte", "drip", "endless", "endless-slow",
    "close-before", "reset-before", "garbage",
    "reset-after", "bad-chunk", "short-body", "long-body", "truncated", "error-event", "stays-open", "answers-twice",
    "empty", "cut-off", "refusal", "content-filter", "other-model",
]  # fmt: skip
FAULTS: tuple[Fault, ...] = get_args(Fault)

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"
FAILED = b'{"error":{"message":"Scripted failure","type":"server_error","code":"scripted"}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Scripted:
    """One answer. `delay` is seconds between a stream's events; `usage` is tokens in and out.

    `refusal` is the model's own, in place of `text`. `raw` is the body in its pieces, in place of everything that
    would be made of the rest.
    """

    text: str = ""
    finish: str | None = "stop"
    tool_calls: tuple[Mapping[str, object], ...] = ()
    refusal: str = ""
    delay: float = 0.0
    usage: tuple[int, int] | None = None
    model: str | None = None
    raw: tuple[bytes, ...] = ()


Answer = str | Scripted | Callable[[dict[str, object]], str | Scripted]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; header names in lower case, `body` empty where it was no JSON object."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    body: dict[str, object]


def answered(scripted: Scripted, seen: Seen, model: str, fault: Fault | None) -> list[bytes]:
    """The answer's bytes as HTTP: the head, then the body in the pieces in which it is written."""
    stream = seen.body.get("stream") is True
    scripted = _said(scripted, fault)
    events = list(scripted.raw) or (_events if stream else _whole)(scripted, seen, scripted.model or model)
    kept = _half(events) if fault in ("truncated", "reset-after", "bad-chunk") else events
    if fault == "error-event":
        kept = [*_half(events), b"data: %b\n\n" % FAILED] if stream else [FAILED]
    kind = SSE if stream else JSON
    if fault in _PROMISED or (not stream and fault != "bad-chunk"):
        promised = sum(map(len, events if fault == "reset-after" else kept)) + _PROMISED.get(fault, 0)
        return [head(200, kind, promised), *kept]
    frames = [head(200, kind, None), *map(chunk, kept)]
    if fault == "bad-chunk":
        return [frames[0], b"".join(frames[1:]), b"ZZ\r\n"]
    if fault not in ("reset-after", "stays-open"):
        frames[-1] += b"0\r\n\r\n"
    return frames


_PROMISED: dict[Fault | None, int] = {"short-body": 64, "long-body": -16}
"""How many bytes more than it sends an answer's Content-Length promises."""


def _said(scripted: Scripted, fault: Fault | None) -> Scripted:
    """The answer as a model with `fault` gives it."""
    match fault:
        case "empty":
            return replace(scripted, text="", tool_calls=())
        case "cut-off":
            words = _words(scripted.text)
            return replace(scripted, text="".join(words[: len(words) // 2]), finish="length", tool_calls=())
        case "refusal":
            return replace(scripted, text="", tool_calls=(), refusal="I cannot help with that.")
        case "content-filter":
            return replace(scripted, text="", tool_calls=(), finish="content_filter")
        case "other-model":
            return replace(scripted, model="another-model")
    return scripted


def refused(fault: Fault, seen: Seen, answer: Answer, retry_after: str) -> list[bytes]:
    """An answer of another status: a `raw` one, or one that quotes the prompt and the key back, as providers do."""
    if fault == "redirect":
        return plain(307, b"", "Location: /v1/elsewhere\r\n")
    quoted = f"Incorrect: {seen.headers.get('authorization', '')} {seen.raw[:500].decode('utf-8', 'replace')}"
    error = {"message": quoted, "type": "invalid_request_error", "code": f"scripted-{fault}", "param": None}
    raw = b"".join(answer.raw) if isinstance(answer, Scripted) else b""
    more = f"Retry-After: {retry_after}\r\n" if fault == "429" else ""
    return plain(int(fault), raw or msgspec.json.encode({"error": error}), more)


def head(status: int, kind: str, size: int | None, more: str = "") -> bytes:
    """The head of a response with a body of `size` bytes, or of chunks where that is None."""
    framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
    first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    return f"{first}\r\nContent-Type: {kind}\r\n{more}{framing}\r\n\r\n".encode()


def plain(status: int, body: bytes, more: str = "") -> list[bytes]:
    """A whole JSON response; `more` are further header lines."""
    return [head(status, JSON, len(body), more), body]


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: object) -> bytes:
    """One server-sent event."""
    return b"data: %b\n\n" % msgspec.json.encode(value)


def bytewise(frames: list[bytes]) -> list[bytes]:
    """The same bytes, one by one after the head."""
    first, *rest = frames
    return [first, *(bytes([byte]) for byte in b"".join(rest))]


def _words(text: str) -> list[str]:
    return re.findall(r"\s*\S+|\s+$", text)


def _half(parts: list[bytes]) -> list[bytes]:
    return parts[: len(parts) // 2] if len(parts) > 1 else [parts[0][: len(parts[0]) // 2]]


def _usage(scripted: Scripted, seen: Seen) -> dict[str, int]:
    tokens_in, tokens_out = scripted.usage or (len(seen.raw) // 4, len(_words(scripted.text)))
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


def _whole(scripted: Scripted, seen: Seen, model: str) -> list[bytes]:
    message: dict[str, object] = {"role": "assistant", "content": scripted.text}
    if scripted.tool_calls:
        message = {**message, "content": scripted.text or None, "tool_calls": scripted.tool_calls}
    if scripted.refusal:
        message = {**message, "content": None, "refusal": scripted.refusal}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": scripted.finish}
    answer = {"id": "chatcmpl-scripted", "object": "chat.completion", "created": 0, "model": model,
              "choices": [choice], "usage": _usage(scripted, seen)}  # fmt: skip
    return [msgspec.json.encode(answer)]


def _events(scripted: Scripted, seen: Seen, model: str) -> list[bytes]:
    def piece(choices: list[dict[str, object]], **more: object) -> bytes:
        return event({"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0,
                      "model": model, "choices": choices, **more})  # fmt: skip

    def delta(finish: str | None = None, **delta: object) -> bytes:
        return piece([{"index": 0, "delta": delta, "finish_reason": finish}])

    calls = [delta(tool_calls=[{"index": i, **call}]) for i, call in enumerate(scripted.tool_calls)]
    words = [delta(content=word) for word in _words(scripted.text)]
    words += [delta(refusal=word) for word in _words(scripted.refusal)]
    events = [delta(role="assistant", content=""), *words, *calls, delta(scripted.finish)]
    options = seen.body.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage") is True:
        events.append(piece([], usage=_usage(scripted, seen)))
    return [*events, b"data: [DONE]\n\n"]
