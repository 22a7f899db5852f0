"""What a scorer is: its options, what it needs of a sample, and the function that grades one answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml.nodes import ScalarNode

from laneway.errors import LanewayError
from laneway.evidence.sample import Sample
from laneway.yaml_nodes import Node, Reader, Reading

__all__ = ["Kind", "Part", "ScorerError", "fenced", "folded", "json_of", "prose", "ratio"]

_FENCE = re.compile(r" {0,3}(`{3,})[ \t]*([\w+-]*)[^`]*")
_ODD = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class ScorerError(LanewayError):
    """A scorer could not grade an answer. The message holds nothing of the answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one scorer said: a value of 0..1, why in plain words, and named figures such as precision.

    `explanation` may name labels and fields of the set, never text of the answer.
    """

    scorer: str
    value: float
    explanation: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of scorer.

    `options` are the readers of its options and `required` those it cannot do without. `complaint` says what
    is wrong with a sample's `expected` or the options together, or None. `grade` gives the Part, or raises
    ScorerError.
    """

    options: Mapping[str, Reader[Any]]
    complaint: Callable[[object, Mapping[str, Any]], str | None]
    grade: Callable[[Sample, Mapping[str, Any], str], Part]
    required: tuple[str, ...] = ()


def prose(node: Node, reading: Reading) -> str:
    """Any text with something in it; tabs by escape are allowed, other control characters are not."""
    if not isinstance(node, ScalarNode):
        reading.fail(node, "expected a text here, not a list or a mapping")
    value = str(node.value)
    if not value.strip():
        reading.fail(node, "empty text")
    if _ODD.search(value):
        reading.fail(node, "an escape that gives no printable text")
    return value


def ratio(node: Node, reading: Reading) -> float:
    """A number of 0 or more, with at most 9 decimals."""
    raw = prose(node, reading)
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", raw):
        reading.fail(node, "expected a plain number of 0 or more, such as 0.01")
    return float(raw)


def fenced(answer: str, languages: tuple[str, ...]) -> list[str]:
    """The closed fenced blocks of `answer` whose language is one of `languages`, or that name none."""
    blocks: list[str] = []
    marks, language = "", ""
    lines: list[str] = []
    for line in answer.splitlines():
        fence = _FENCE.fullmatch(line)
        if not marks and fence:
            marks, language, lines = fence[1], fence[2].lower(), []
        elif marks and fence and len(fence[1]) >= len(marks) and line.strip(" `\t") == "":
            blocks += ["".join(f"{inner}\n" for inner in lines)] if language in ("", *languages) else []
            marks = ""
        else:
            lines.append(line)
    return blocks


def folded(text: str) -> str:
    """`text` with every run of white space as one space, and none around it."""
    return " ".join(text.split())


def json_of(answer: str) -> object:
    """The JSON value that the answer is, or that its one fenced block is. Raises ValueError where there is none."""
    blocks = fenced(answer, ("json",))
    try:
        return json.loads(blocks[0] if len(blocks) == 1 else answer, parse_constant=_no_such_number)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _no_such_number(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")
