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


def strings(value: object) -> Iterator[tuple[str, str]]:
    """Every string and number in a JSON value, keys included, with its place (`messages[0].content`).

    The text parts of a list come once more as one text, both run together and on lines of their own: whoever reads
    them reads on from one into the next.
    """
    opened: list[Iterator[tuple[str, object]]] = [iter([("", value)])]
    while opened:
        for place, inner in opened[-1]:
            if isinstance(inner, str):
                yield place, inner
            elif isinstance(inner, (int, float)):
                yield place, str(inner)
            elif isinstance(inner, dict):
                opened.append(_in_dict(place, inner))
                break
            elif isinstance(inner, list):
                opened.append(_in_list(place, inner))
                break
        else:
            opened.pop()


def _in_dict(place: str, value: dict[object, object]) -> Iterator[tuple[str, object]]:
    for key, inner in value.items():
        yield f"{place} (key)".strip(), str(key)
        yield f"{place}.{key}" if place else str(key), inner


def _in_list(place: str, value: list[object]) -> Iterator[tuple[str, object]]:
    for i, inner in enumerate(value):
        yield f"{place}[{i}]", inner
    texts = [text for part in value if isinstance(part, dict) and isinstance(text := part.get("text"), str)]
    if len(texts) > 1:
        yield place, "".join(texts)
        yield place, "\n".join(texts)
