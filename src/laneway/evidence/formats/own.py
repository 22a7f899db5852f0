"""Our own format: a set as YAML, for people, or as JSON Lines, for many samples. Nothing is lost in either."""

from __future__ import annotations

import io
import json
import re

from ruamel.yaml import YAML
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from laneway.evidence.formats.shape import head_of, row_of
from laneway.evidence.sample import EvalSet

__all__ = ["to_jsonl", "to_yaml", "yaml_text"]


_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
"""What some reader of YAML takes for something else than text."""


def to_jsonl(evaluation: EvalSet) -> str:
    """The set as JSON Lines: its head, then one sample a line."""
    rows = (head_of(evaluation), *(row_of(sample) for sample in evaluation.samples))
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def to_yaml(evaluation: EvalSet) -> str:
    """The set as YAML, texts of several lines as blocks."""
    return yaml_text(head_of(evaluation) | {"samples": [row_of(sample) for sample in evaluation.samples]})


class _Representer(RoundTripRepresenter):
    """As ruamel's, but null is written out: an empty value is an error to us."""


_Representer.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


def yaml_text(value: object) -> str:
    """A JSON value as YAML that our strict reader, and any other, takes for the same value."""
    yaml, out = YAML(), io.StringIO()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.Representer = _Representer
    yaml.dump(_written(value), out)
    return out.getvalue()


def _written(value: object) -> object:
    if isinstance(value, dict):
        return {_text(key): _written(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_written(inner) for inner in value]
    if isinstance(value, str):
        return _text(value)
    return value


def _text(value: str) -> object:
    """A name stays plain, a text of several lines becomes a block where YAML can hold it so, all else is quoted."""
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", value) and value.lower() not in _WORDS:
        return value
    if "\n" in value.strip("\n") and not value[0].isspace() and value.replace("\n", "").isprintable():
        return LiteralScalarString(value)
    return DoubleQuotedScalarString(value)
