"""promptfoo's assertions as scorers, and the other way round, one at a time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from laneway.evidence.formats.shape import filled
from laneway.evidence.sample import Sample, Scorer

__all__ = ["Carried", "from_assert", "to_asserts"]

_UNSEEN = {"type", "value", "metric"}


class Carried(NamedTuple):
    """A scorer as a set's file has it, what it expects, and what of the assertion is not in it."""

    scorer: dict[str, Any] | None
    expected: object = None
    notes: tuple[str, ...] = ()


def from_assert(check: Mapping[str, Any], given: Mapping[str, object]) -> Carried:
    """The scorer of one assertion, its variables filled in; none where there is no counterpart."""
    kind, value = str(check.get("type")), check.get("value")
    values = [_text(item, given) for item in (value if isinstance(value, list) else [value])]
    notes = tuple(f"`{name}` of its assert `{kind}` is left out" for name in sorted(set(check) - _UNSEEN))
    if kind == "is-json":
        return Carried({"json": {"schema": value if isinstance(value, dict) else {}}}, notes=notes)
    if kind == "equals" and isinstance(value, dict):
        return Carried({"json": {}}, value, notes)
    if any(item is None or item.startswith("file://") for item in values):
        return Carried(None)
    texts = [item for item in values if item is not None]
    if kind == "equals":
        return Carried({"exact": {}}, texts[0], notes)
    if kind == "llm-rubric":
        return Carried({"rubric": {"asks": texts[0]}}, notes=notes)
    if kind in ("regex", "not-regex"):
        return Carried({"regex": {"not" if kind.startswith("not-") else "pattern": texts[0]}}, notes=notes)
    pattern = _pattern(kind.removeprefix("not-"), texts)
    if pattern is None:
        return Carried(None)
    key = "not" if kind.startswith("not-") else "pattern"
    flags = {"flags": ["i", "s"]} if "icontains" in kind else {"flags": ["s"]} if kind.endswith("-all") else {}
    return Carried({"regex": {key: pattern, **flags}}, notes=notes)


def _text(value: object, given: Mapping[str, object]) -> str | None:
    """A text with its variables filled in; None where there is none, or something is left to fill in."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    text, _ = filled(str(value), given)
    return None if re.search(r"\{[{%]", text) else text


def _pattern(kind: str, texts: list[str]) -> str | None:
    literal = [re.escape(text) for text in texts]
    match kind:
        case "contains" | "icontains":
            return literal[0]
        case "starts-with":
            return rf"\A{literal[0]}"
        case "contains-any" | "icontains-any":
            return "|".join(literal)
        case "contains-all" | "icontains-all":
            return r"\A" + "".join(f"(?=.*{text})" for text in literal)
        case _:
            return None


def to_asserts(sample: Sample) -> tuple[list[dict[str, Any]], list[str]]:
    """The assertions of a sample's scorers, and what of them has no counterpart."""
    checks: list[dict[str, Any]] = []
    notes: list[str] = []
    for scorer in sample.scorers:
        found = _check(scorer, sample.expected)
        if found:
            checks += found
            notes += [f"`{name}` of `{scorer.name}` is left out" for name in _lost(scorer)]
        else:
            notes.append(f"`{scorer.name}` has no counterpart and is left out")
    return checks, notes


def _check(scorer: Scorer, expected: object) -> list[dict[str, Any]]:
    options = scorer.options
    match scorer.name:
        case "exact" if isinstance(expected, str):
            return [{"type": "equals", "value": expected}]
        case "exact" if isinstance(expected, list):
            return [{"type": "regex", "value": f"^(?:{'|'.join(re.escape(str(text)) for text in expected)})$"}]
        case "regex":
            kinds = {"pattern": "regex", "not": "not-regex"}
            return [{"type": kinds[key], "value": options[key]} for key in kinds if key in options]
        case "json":
            schema = [{"type": "is-json", "value": options["schema"]}] if "schema" in options else []
            return schema + ([{"type": "equals", "value": expected}] if expected else [])
        case "rubric":
            return [{"type": "llm-rubric", "value": options["asks"]}]
        case _:
            return []


def _lost(scorer: Scorer) -> list[str]:
    return [name for name in ("ignore", "flags", "fields", "judges") if scorer.options.get(name)]
