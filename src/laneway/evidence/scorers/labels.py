"""set: the labels in the answer against the expected ones; the value is F1 of precision and recall."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from laneway.evidence.sample import Sample
from laneway.evidence.scorers.kind import Kind, Part, json_of, prose
from laneway.yaml_nodes import listed

__all__ = ["SET"]

_BULLET = re.compile(r"^(?:[-*\u2022]|\d{1,3}[.)])\s+")


def _complaint(expected: object, options: Mapping[str, Any]) -> str | None:
    if not isinstance(expected, list) or not all(isinstance(label, str) and label.strip() for label in expected):
        return "`set` needs `expected`: a list of labels; [] where there are none"
    if len({label.casefold() for label in expected}) < len(expected):
        return "`expected` names a label twice"
    known = {label.casefold() for label in options.get("of", ())}
    unknown = [label for label in expected if known and label.casefold() not in known]
    return f"`expected` names `{unknown[0]}`, which `of` does not" if unknown else None


def _grade(sample: Sample, _options: Mapping[str, Any], answer: str) -> Part:
    assert isinstance(sample.expected, list)
    expected = {str(label).strip().casefold() for label in sample.expected}
    given = _labels(answer)
    if given is None:
        return Part("set", 0.0, "the answer is empty", {"precision": 0.0, "recall": 0.0})
    if not expected and not given:
        return Part("set", 1.0, "rightly none", {"precision": 1.0, "recall": 1.0})
    hits = len(expected & given)
    precision = hits / len(given) if given else float(not expected)
    recall = hits / len(expected) if expected else float(not given)
    value = 2 * hits / (len(expected) + len(given))
    missing, extra = sorted(expected - given), len(given - expected)
    said = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"{extra} not expected"] * bool(extra)
    return Part("set", value, "; ".join(said) or "all, and no others", {"precision": precision, "recall": recall})


def _labels(answer: str) -> set[str] | None:
    """The labels, in lower case; none for `none` or an empty list; None for an answer without any text."""
    try:
        value = json_of(answer)
    except ValueError:
        parts = [_BULLET.sub("", line.strip()) for line in re.split(r"[\n,;]", answer)]
    else:
        parts = [str(label) for label in value] if isinstance(value, list) else [str(value)]
        if value == []:
            return set()
    given = {part.strip().strip("\"'`*").strip().rstrip(".").casefold() for part in parts} - {""}
    if not given:
        return None
    return set() if given == {"none"} else given


SET = Kind(options={"of": listed(prose)}, complaint=_complaint, grade=_grade)
"""`of`: the vocabulary that `expected` is checked against; a label of the answer that is not expected is wrong."""
