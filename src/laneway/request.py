"""Request: one client's request, read once from its wire, in terms that every wire shares.

Made by a codec in `wire/`; goes into `classify`, `serve` and `gate`. `body` is what may leave for a lane:
the codec builds the outgoing bytes from it, so the text that was scanned is the text that is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Request", "strings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`labels` holds what the client said about itself, by header name in lower case without `laneway-`.

    `canonical` is `body` as compact JSON text; `unreadable` lists places whose content cannot be scanned
    (images, audio, files); `answer_schema` is the JSON schema that the answer must meet, if any.
    """

    model: str
    labels: dict[str, str]
    body: dict[str, object]
    canonical: str
    stream: bool = False
    include_usage: bool = False
    max_output: int | None = None
    needs: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    wants_json: bool = False
    answer_schema: dict[str, object] | None = None
    tools: tuple[str, ...] = ()


def strings(value: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Every string and number in a JSON value, keys included, with its place (`messages[0].content`)."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, (int, float)):
        yield place, str(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"{place} (key)".strip(), str(key)
            yield from strings(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from strings(inner, f"{place}[{i}]")
