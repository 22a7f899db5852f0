"""exact: the whole answer, trimmed, is the expected text, or one of the expected texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from laneway.evidence.sample import Sample
from laneway.evidence.scorers.kind import Kind, Part
from laneway.yaml_nodes import listed, one_of

__all__ = ["EXACT"]


def _complaint(expected: object, _options: Mapping[str, Any]) -> str | None:
    texts = expected if isinstance(expected, list) else [expected]
    if texts and all(isinstance(text, str) and text.strip() for text in texts):
        return None
    return "`exact` needs `expected`: a text, or a list of texts of which one must be met; put numbers in quotes"


def _grade(sample: Sample, options: Mapping[str, Any], answer: str) -> Part:
    ignore = options.get("ignore", ())
    expected = sample.expected if isinstance(sample.expected, list) else [sample.expected]
    met = _plain(answer, ignore) in {_plain(str(text), ignore) for text in expected}
    return Part("exact", float(met), "the answer is as expected" if met else "the answer is another text")


def _plain(text: str, ignore: Collection[str]) -> str:
    text = unicodedata.normalize("NFC", text).strip()
    if "case" in ignore:
        text = text.casefold()
    if "space" in ignore:
        text = "".join(text.split())
    if "punctuation" in ignore:
        text = "".join(c for c in text if not unicodedata.category(c).startswith("P")).strip()
    return text


EXACT = Kind(
    options={"ignore": listed(one_of(("case", "space", "punctuation"), "thing to ignore"))},
    complaint=_complaint,
    grade=_grade,
)
"""`ignore`: any of case, space and punctuation, which then count for nothing."""
