"""quote: what the answer quotes stands word for word in the sample's input."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from laneway.evidence.sample import Sample
from laneway.evidence.scorers.kind import Kind, Part, folded, json_of

__all__ = ["QUOTE"]

_SPANS = re.compile(
    '"([^"]+)"'
    "|\u201c([^\u201c\u201d]+)[\u201c\u201d]"
    "|\u201e([^\u201c\u201d\u201e]+)[\u201c\u201d]"
    "|\u201d([^\u201d]+)\u201d"
    "|\u00bb([^\u00ab\u00bb]+)[\u00ab\u00bb]"
    "|\u00ab([^\u00ab\u00bb]+)\u00bb"
)
"""Straight, English, German, Swedish and Finnish marks, and guillemets either way."""


def _complaint(expected: object, _options: Mapping[str, Any]) -> str | None:
    if expected is None or (isinstance(expected, list) and expected and all(isinstance(t, str) for t in expected)):
        return None
    return "`quote` needs `expected` to be a list of texts that must be quoted, or nothing"


def _grade(sample: Sample, _options: Mapping[str, Any], answer: str) -> Part:
    spans = [_plain(span) for span in _spans(answer)]
    if not spans:
        return Part("quote", 0.0, "the answer quotes nothing")
    source = _plain(sample.input)
    invented = sum(span not in source for span in spans)
    if invented:
        return Part("quote", 0.0, f"{invented} of {len(spans)} quotations do not occur in the input")
    if not isinstance(sample.expected, list):
        return Part("quote", 1.0, "every quotation occurs in the input")
    found = sum(any(_plain(str(text)) in span for span in spans) for text in sample.expected)
    return Part("quote", found / len(sample.expected), f"{found} of {len(sample.expected)} passages quoted")


def _plain(text: str) -> str:
    return folded(unicodedata.normalize("NFC", text))


def _spans(answer: str) -> list[str]:
    try:
        value = json_of(answer)
    except ValueError:
        value = None
    if isinstance(value, dict):  # one sentence in quotation marks is JSON as well, and no object
        quotes = value.get("quotes")
        found = [str(quote) for quote in quotes] if isinstance(quotes, list) else []
    else:
        found = ["".join(groups) for groups in _SPANS.findall(answer)]
    return [span for span in found if span.strip()]


QUOTE = Kind(options={}, complaint=_complaint, grade=_grade)
"""No options. Spans in quotation marks count, or those in a JSON answer's list `quotes`."""
