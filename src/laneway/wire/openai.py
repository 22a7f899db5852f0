"""The OpenAI chat-completions wire: a client's bytes to a Request, a Request to a lane's bytes, and errors.

Owns what this protocol calls things and what of it may pass. Answers are read in `openai_answer.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Annotated, TypeVar

import msgspec

from laneway.errors import RequestError, did_you_mean, shown
from laneway.request import Request
from laneway.wire.openai_answer import DONE, Event, Stream, read_answer
from laneway.wire.openai_screen import screen

__all__ = [
    "DONE", "Event", "Stream", "error_body", "error_event", "outgoing", "prompted", "read", "read_answer", "shaped",
    "strict",
]  # fmt: skip

_DEEPEST = 64
_LONGEST_LABEL = 100
_PREFIX = "laneway-"
_LABELS = (
    "sensitivity",
    "workload",
    "latency",
    "ceiling",
    "stakes",
    "team",
    "region",
    "language",
    "user",
    "subject",
    "fact-<name>",
)
_FACT = "fact-"

T = TypeVar("T")

_Count = Annotated[int, msgspec.Meta(ge=1)]


class _Part(msgspec.Struct):
    type: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _Function(msgspec.Struct):
    name: str


class _Tool(msgspec.Struct):
    function: _Function | None = None
    custom: _Function | None = None


class _JsonSchema(msgspec.Struct):
    schema: dict[str, object] | None = None


class _Format(msgspec.Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    """What we read of a body; all else passes to the lane as it came."""

    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    n: _Count | None = None
    tools: list[_Tool] | None = None
    functions: list[_Function] | None = None
    response_format: _Format | None = None
    modalities: list[str] | None = None
    metadata: dict[str, str] | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None


_NAMEABLE = frozenset(
    (
        *_Body.__struct_fields__,
        *(_PREFIX + label for label in _LABELS),
        "role",
        "content",
        "type",
        "text",
        "name",
    )
)


def read(body: bytes, headers: Mapping[str, str]) -> Request:
    """The client's request. `headers` by lower-case name; RequestError says what cannot be used."""
    fields, canonical = strict(body)
    typed = shaped(fields, _Body)
    if typed.n is not None and typed.n > 1:
        raise RequestError(400, "unsupported", "`n` above 1 is not supported; ask once for each answer", "n")
    labels = _labels(headers, typed.metadata or {})
    cleaned = _without_labels(fields, typed.metadata or {})
    if cleaned is not fields:
        canonical = msgspec.json.encode(cleaned)
    text = canonical.decode()
    screened = screen(cleaned, text)
    form = typed.response_format
    return Request(
        model=typed.model,
        labels=labels,
        body=cleaned,
        canonical=text,
        stream=bool(typed.stream),
        include_usage=bool(typed.stream_options and typed.stream_options.include_usage),
        max_output=typed.max_completion_tokens or typed.max_tokens,
        needs=_needs(typed, screened.needs),
        unreadable=screened.unreadable,
        wants_json=_wants_json(typed),
        answer_schema=form.json_schema.schema if form and form.json_schema else None,
        tools=tuple(_tool_names(typed)),
    )


def prompted(request: Request, prompt: str | None) -> Request:
    """The request with a system prompt of ours before all that the client says, as if it had come so."""
    messages = request.body["messages"]
    if prompt is None or not isinstance(messages, list):
        return request
    body = {**request.body, "messages": [{"role": "system", "content": prompt}, *messages]}
    return replace(request, body=body, canonical=msgspec.json.encode(body).decode())


def outgoing(request: Request, *, model: str, max_output: int | None) -> bytes:
    """The body for one lane: its model, our output cap, and usage on every stream."""
    body = {**request.body, "model": model}
    if max_output is not None:
        modern = body.pop("max_completion_tokens", None) is not None
        body.pop("max_tokens", None)  # Both names may stand there, and a lane would read the higher one.
        body["max_completion_tokens" if modern else "max_tokens"] = max_output
    if request.stream:
        options = body.get("stream_options")
        body["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
    return msgspec.json.encode(body)


def error_body(
    code: str,
    message: str,
    *,
    kind: str,
    param: str | None = None,
    details: Mapping[str, object] | None = None,
) -> bytes:
    """An error in this wire's shape; what only Laneway knows stands under `laneway`."""
    error = {"message": message, "type": kind, "param": param, "code": code, "laneway": details or {}}
    return msgspec.json.encode({"error": error})


def error_event(
    code: str,
    message: str,
    *,
    kind: str,
    param: str | None = None,
    details: Mapping[str, object] | None = None,
) -> bytes:
    """The same error as one event of a stream."""
    return b"data: " + error_body(code, message, kind=kind, param=param, details=details) + b"\n\n"


def strict(body: bytes) -> tuple[dict[str, object], bytes]:
    """The JSON object in `body`, and its compact text. Raises RequestError where two readers could see two of them."""
    fields = _parse(body)
    canonical = msgspec.json.encode(fields)
    _refuse_duplicates(body, canonical)
    return fields, canonical


def _parse(body: bytes) -> dict[str, object]:
    try:
        fields: object = msgspec.json.decode(body)
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Only the position: both libraries may quote the text around it.
        where = re.search(r"byte (\d+)\)", str(error))
        place = f" at byte {where[1]}" if where else ""
        raise RequestError(400, "invalid_json", f"the body is not valid JSON{place}") from None
    if not isinstance(fields, dict):
        raise RequestError(400, "invalid_type", "the body must be a JSON object")
    if body.count(b"{") + body.count(b"[") > _DEEPEST and _depth_over(fields, _DEEPEST):
        raise _too_deep()
    return fields


def _too_deep() -> RequestError:
    return RequestError(400, "invalid_json", f"the body is nested more than {_DEEPEST} levels deep")


def _depth_over(value: dict[str, object], most: int) -> bool:
    level: list[dict[str, object] | list[object]] = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


_COLON = re.compile(rb'"[ \t\r\n]*:')


def _refuse_duplicates(body: bytes, canonical: bytes) -> None:
    # Sound: unless `"`, space or `:` is escaped by number (`\u002x`, `\u003x`), every kept string gives the
    # same count in both texts, and each dropped member adds at least its own key's colon to the body's.
    if b"\\u002" not in body and b"\\u003" not in body:
        colons = len(_COLON.findall(body))
        # The quicker count is never above the true one, and that one never above the body's.
        if colons == canonical.count(b'":') or colons == len(_COLON.findall(canonical)):
            return
    try:
        json.loads(body, object_pairs_hook=_unique)
    except ValueError:  # What msgspec accepts and json does not: no such text is known, so fail closed.
        raise RequestError(400, "invalid_json", "the body is not valid JSON") from None


def _unique(pairs: list[tuple[str, object]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            name = f"the key `{key}`" if key in _NAMEABLE else "a key"
            raise RequestError(400, "duplicate_key", f"{name} stands twice in one JSON object; keep one")
        seen.add(key)


def shaped(fields: dict[str, object], kind: type[T]) -> T:
    """`fields` as a `kind`. Raises RequestError naming the field that is missing or has a wrong type."""
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        place = path.strip("`").removeprefix("$").removeprefix(".")
        if "missing required field" in problem:
            missing = problem.rpartition("field ")[2].strip("`")
            place = f"{place}.{missing}" if place else missing
            raise RequestError(400, "missing_field", f"`{place}` is missing; add it", place) from None
        message = f"`{place}`: {problem[:1].lower()}{problem[1:]}"
        raise RequestError(400, "invalid_type", message, place) from None


def _is_label(name: str) -> bool:
    # `x-laneway-sensitivity` is no label, but whoever wrote it meant one: it must not pass in silence.
    lowered = name.lower()
    return "laneway" in lowered or lowered.strip().strip("_-").removeprefix("x-") == "sensitivity"


def _labels(headers: Mapping[str, str], metadata: dict[str, str]) -> dict[str, str]:
    labels: dict[str, str] = {}
    sources = (("header ", headers), ("metadata.", metadata))
    for source, mapping in sources:
        for name, value in mapping.items():
            if not _is_label(name):
                continue
            label = _label_name(name.lower(), source)
            if len(value) > _LONGEST_LABEL or not value.isprintable():
                message = f"{source}{_PREFIX}{label} must be at most {_LONGEST_LABEL} printable characters"
                raise RequestError(400, "invalid_label", message, _PREFIX + label)
            if labels.setdefault(label, value) != value:
                message = f"{_PREFIX}{label} is given twice with different values; keep one of them"
                raise RequestError(400, "conflicting_label", message, _PREFIX + label)
    return labels


def _label_name(name: str, source: str) -> str:
    label = name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else ""
    if label in _LABELS[:-1] or (label.startswith(_FACT) and len(label) > len(_FACT)):
        return label
    hint = did_you_mean(name, [_PREFIX + known for known in _LABELS])
    raise RequestError(400, "unknown_header", f"{source}{shown(name)} is not known{hint}", shown(name))


def _without_labels(fields: dict[str, object], metadata: dict[str, str]) -> dict[str, object]:
    kept = {key: value for key, value in metadata.items() if not _is_label(key)}
    if len(kept) == len(metadata):
        return fields
    cleaned = {key: value for key, value in fields.items() if key != "metadata"}
    return {**cleaned, "metadata": kept} if kept else cleaned


def _wants_json(body: _Body) -> bool:
    return body.response_format is not None and body.response_format.type in ("json_object", "json_schema")


def _needs(body: _Body, media: Iterable[str]) -> tuple[str, ...]:
    needs = dict.fromkeys(media)
    if body.tools or body.functions:
        needs["tools"] = None
    if body.modalities and "audio" in body.modalities:
        needs["audio"] = None
    if _wants_json(body):
        needs["json"] = None
    return tuple(needs)


def _tool_names(body: _Body) -> Iterator[str]:
    for tool in body.tools or ():
        named = tool.function or tool.custom
        if named is not None:
            yield named.name
    yield from (function.name for function in body.functions or ())
