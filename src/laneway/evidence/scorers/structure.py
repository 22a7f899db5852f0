"""json: the answer, or its one fenced block, is JSON, meets the schema, and has the expected fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from laneway.evidence.sample import Sample
from laneway.evidence.scorers.kind import Kind, Part, json_of, prose
from laneway.schema import validator
from laneway.yaml_nodes import Node, Reading, json_value, listed

__all__ = ["JSON"]


def _schema(node: Node, reading: Reading) -> object:
    schema = json_value(node, reading)
    try:
        validator(schema)
    except ValueError as error:
        reading.fail(node, f"`schema` is {error}")
    return schema


def _complaint(expected: object, options: Mapping[str, Any]) -> str | None:
    if expected is not None and not isinstance(expected, dict):
        return "`json` needs `expected` to be a mapping of fields, or nothing"
    missing = [name for name in options.get("fields", ()) if name not in (expected or {})]
    if missing:
        return f"`fields` names `{missing[0]}`, which `expected` does not have"
    return None if expected or "schema" in options else "`json` needs `expected`, or a `schema`"


def _grade(sample: Sample, options: Mapping[str, Any], answer: str) -> Part:
    try:
        value = json_of(answer)
    except ValueError:
        return Part("json", 0.0, "the answer is not JSON")
    if "schema" in options and not validator(options["schema"]).is_valid(value):
        return Part("json", 0.0, "the answer does not meet the schema")
    if not isinstance(sample.expected, dict):
        return Part("json", 1.0, "the answer meets the schema")
    if not isinstance(value, dict):
        return Part("json", 0.0, "the answer is not an object")
    wanted: dict[str, object] = sample.expected
    names = options.get("fields") or tuple(wanted)
    wrong = [name for name in names if name not in value or not _same(value[name], wanted[name])]
    share = 1 - len(wrong) / len(names)
    return Part("json", share, f"other than expected: {', '.join(wrong)}" if wrong else "every field is as expected")


def _same(one: object, other: object) -> bool:
    """Equal as JSON: true is not 1, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


JSON = Kind(options={"schema": _schema, "fields": listed(prose)}, complaint=_complaint, grade=_grade)
"""`schema`: a JSON Schema; `fields`: which fields of `expected` count, else all. The value is their share."""
