"""contract: a workload's Output and an answer in, the parts that the answer breaks out.

An answer that calls tools is on its way to one and breaks nothing. One whose language cannot be told passes the part
`language`; of JSON only its texts count, as its keys are names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from laneway.classify.language import language_of
from laneway.policy import Output
from laneway.schema import json_of, validator

__all__ = ["broken"]


def broken(output: Output, answer_text: str, tool_calls: Collection[object]) -> tuple[str, ...]:
    """Which of `language`, `format`, `schema` and `most_chars` the answer breaks; () where it keeps them all."""
    return () if tool_calls else tuple(_parts(output, answer_text))


def _parts(output: Output, answer: str) -> Iterator[str]:
    try:
        value, is_json = json_of(answer), True
    except ValueError:
        value, is_json = answer, False
    if output.language is not None and language_of(" ".join(_texts(value))) not in (None, output.language):
        yield "language"
    if output.format == "json" and not is_json:
        yield "format"
    if output.format == "text" and isinstance(value, dict | list):
        yield "format"
    if output.schema is not None and is_json and not validator(output.schema).is_valid(value):
        yield "schema"
    if output.most_chars is not None and len(answer) > output.most_chars:
        yield "most_chars"


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON value that is not a key."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, dict | list):
            waiting += reversed([*inner.values()] if isinstance(inner, dict) else inner)
