"""Strict YAML: text in, a tree of nodes with places out; and small readers that turn nodes into values.

Scalars stay text until a reader asks for a type, so YAML's surprises (`no`, `1_000`, `12:30`) cannot
happen. Duplicate keys, anchors, aliases, tags, tabs, over-deep and over-long files are errors with a place.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionStartEvent, Event, NodeEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from laneway.errors import PolicyError, Problem, did_you_mean, shown

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MOST_PROBLEMS",
    "Entries",
    "Node",
    "Reader",
    "Reading",
    "compose",
    "date",
    "days",
    "each",
    "flag",
    "json_value",
    "listed",
    "number",
    "one_of",
    "seconds",
    "text",
    "whole",
]  # fmt: skip

MAX_BYTES = 1_000_000
MAX_DEPTH = 24
MOST_PROBLEMS = 50

_ODD = re.compile("[^\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Tabs, control characters and lone surrogates: none of them belongs in a text that people sign."""

T = TypeVar("T")
Reader = Callable[[Node, "Reading"], T]


class _Bad(Exception):
    """One node is wrong: caught by the nearest reader that can go on with its siblings."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem


class Reading:
    """One pass over one file: collects problems, so that all are shown at once."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def problem(self, node: Node | Event | None, message: str) -> Problem:
        """A Problem at `node`'s place."""
        mark = node.start_mark if node is not None else None
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        return Problem(self.file, line, column, message)

    def note(self, node: Node | Event | None, message: str) -> None:
        """Record a problem and go on, up to MOST_PROBLEMS of them."""
        self._add(self.problem(node, message))

    def _add(self, problem: Problem) -> None:
        self.problems.append(problem)
        if len(self.problems) >= MOST_PROBLEMS:
            more = Problem(self.file, problem.line, problem.column, "too much is wrong here; the rest was not read")
            raise PolicyError(dict.fromkeys((*self.problems, more)))

    def fail(self, node: Node | None, message: str) -> NoReturn:
        """Give this node up; its siblings are still read."""
        raise _Bad(self.problem(node, message))

    def attempt(self, reader: Reader[T], node: Node) -> T | None:
        """Read `node`; on failure record the problem and return None."""
        try:
            return reader(node, self)
        except _Bad as bad:
            self._add(bad.problem)
            return None

    def finish(self) -> None:
        """Raise PolicyError when anything was wrong."""
        if self.problems:
            raise PolicyError(dict.fromkeys(self.problems))


def compose(source: str, file: str) -> Node:
    """The root node of `source`. Raises PolicyError with the place of what is not allowed."""
    reading = Reading(file)
    odd = _ODD.search(source)
    if odd is not None:
        line, start = source.count("\n", 0, odd.start()) + 1, source.rfind("\n", 0, odd.start())
        what = "tabs are not allowed; use spaces" if odd[0] == "\t" else "a character that is not printable text"
        raise PolicyError([Problem(file, line, odd.start() - start, what)])
    if len(source.encode()) > MAX_BYTES:
        raise PolicyError([reading.problem(None, f"the file is longer than {MAX_BYTES} bytes")])
    try:
        _refuse_cleverness(source, reading)
        root: Node | None = YAML(typ="safe", pure=True).compose(source)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
        problem = error.problem or error.context or "syntax error"
        quote = '; within brackets a rule\'s name needs quotes: "wall[0]"' if "but got '['" in problem else ""
        what = f"not valid YAML: {problem}{quote}"
        raise PolicyError([Problem(file, line, column, what)]) from None
    except YAMLError as error:
        raise PolicyError([Problem(file, 0, 0, f"not valid YAML: {type(error).__name__}")]) from None
    if root is None:
        raise PolicyError([reading.problem(None, "the file is empty; start with `laneway init`")])
    return root


def _refuse_cleverness(source: str, reading: Reading) -> None:
    depth = 0
    for event in YAML(typ="rt", pure=True).parse(source):
        if isinstance(event, AliasEvent) or (isinstance(event, NodeEvent) and event.anchor):
            reading.note(event, "anchors and aliases are not allowed; write the value out")
        elif isinstance(event, (ScalarEvent, CollectionStartEvent)) and event.tag:
            reading.note(event, f"YAML tags are not allowed: {shown(event.tag)}")
        if isinstance(event, CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                reading.note(event, f"nested deeper than {MAX_DEPTH} levels")
                break
        elif type(event).__name__ in ("MappingEndEvent", "SequenceEndEvent"):
            depth -= 1
    reading.finish()


class Entries:
    """A mapping's entries by key, read one by one; what is left over at the end is unknown."""

    def __init__(self, node: Node, reading: Reading, known: Iterable[str] | None, what: str) -> None:
        if not isinstance(node, MappingNode):
            reading.fail(node, f"{what} must be a mapping of `key: value`")
        self.node = node
        self._reading = reading
        self.nodes: dict[str, Node] = {}
        self.keys: dict[str, Node] = {}
        names = None if known is None else list(known)
        for key_node, value in node.value:
            key = text(key_node, reading)
            if key in self.nodes:
                reading.note(key_node, f"duplicate key `{shown(key)}` in {what}")
            elif names is not None and key not in names:
                hint = did_you_mean(key, names)
                reading.note(key_node, f"unknown key `{shown(key)}` in {what}{hint}")
            else:
                self.nodes[key], self.keys[key] = value, key_node

    def get(self, key: str, reader: Reader[T]) -> T | None:
        """The value read, or None where it is absent or wrong (then a problem is noted)."""
        node = self.nodes.get(key)
        return None if node is None else self._reading.attempt(reader, node)

    def need(self, key: str, reader: Reader[T], what: str) -> T:
        """As `get`, but an absent key fails the whole mapping."""
        node = self.nodes.get(key)
        if node is None:
            self._reading.fail(self.node, f"{what} needs `{key}`")
        return reader(node, self._reading)

    @property
    def line(self) -> int:
        """The mapping's first line, from 1."""
        return int(self.node.start_mark.line) + 1


def text(node: Node, reading: Reading) -> str:
    """A scalar as it is written."""
    if not isinstance(node, ScalarNode):
        reading.fail(node, "expected a single value here, not a list or a mapping")
    value = str(node.value)
    if not value.strip():
        reading.fail(node, "empty value")
    if _ODD.search(value):
        reading.fail(node, "an escape that gives no printable text")
    return value


def number(node: Node, reading: Reading) -> float:
    """A plain decimal number, 0 or more."""
    raw = text(node, reading)
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", raw):
        reading.fail(node, f"expected a plain number such as 12 or 0.40, not `{shown(raw)}`")
    return float(raw)


def whole(node: Node, reading: Reading) -> int:
    """A whole number, 0 or more."""
    raw = text(node, reading)
    if not re.fullmatch(r"[0-9]{1,12}", raw):
        reading.fail(node, f"expected a whole number, not `{shown(raw)}`")
    return int(raw)


def date(node: Node, reading: Reading) -> datetime.date:
    """A calendar date, YYYY-MM-DD."""
    raw = text(node, reading)
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", raw):
            raise ValueError
        return datetime.date.fromisoformat(raw)
    except ValueError:
        reading.fail(node, f"expected a date such as 2026-11-24, not `{shown(raw)}`")


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(node: Node, reading: Reading) -> float:
    """A duration such as 4s, 10m, 24h or 90d, in seconds."""
    raw = text(node, reading)
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])", raw)
    if not match:
        reading.fail(node, f"expected a duration such as 4s, 10m, 24h or 90d, not `{shown(raw)}`")
    return float(match[1]) * _UNITS[match[2]]


def days(node: Node, reading: Reading) -> int:
    """A duration in whole days, such as 90d."""
    length = seconds(node, reading)
    if length % 86400:
        reading.fail(node, f"expected whole days such as 90d, not `{shown(node.value)}`")
    return int(length // 86400)


def flag(node: Node, reading: Reading) -> bool:
    """`true` or `false`, nothing else."""
    return one_of(["true", "false"], "value")(node, reading) == "true"


def one_of(known: Iterable[str], what: str) -> Reader[str]:
    """One of the known words."""
    names = list(known)

    def read(node: Node, reading: Reading) -> str:
        raw = text(node, reading)
        if raw not in names:
            reading.fail(node, f"unknown {what} `{shown(raw)}`{did_you_mean(raw, names)}")
        return raw

    return read


def listed(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list, or a single value standing for a list of one."""

    def read(node: Node, reading: Reading) -> tuple[T, ...]:
        if not isinstance(node, SequenceNode):
            return (reader(node, reading),)
        return each(reader)(node, reading)

    return read


def each(reader: Reader[T]) -> Reader[tuple[T, ...]]:
    """A list; a wrong item is noted and the others are still read."""

    def read(node: Node, reading: Reading) -> tuple[T, ...]:
        if not isinstance(node, SequenceNode):
            reading.fail(node, "expected a list here")
        values = (reading.attempt(reader, item) for item in node.value)
        return tuple(value for value in values if value is not None)

    return read


def json_value(node: Node, reading: Reading) -> object:
    """What the node is in JSON: a plain scalar may be true, false, null or a number, all else is text."""
    if isinstance(node, MappingNode):
        fields = Entries(node, reading, None, "this object")
        return {key: json_value(value, reading) for key, value in fields.nodes.items()}
    if isinstance(node, SequenceNode):
        return [json_value(item, reading) for item in node.value]
    assert isinstance(node, ScalarNode)
    if node.style is not None:  # in quotes or a block: whatever it is, and be it nothing
        return str(node.value)
    value = text(node, reading)
    return json.loads(value) if _PLAIN.fullmatch(value) else value


_PLAIN = re.compile(r"true|false|null|-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,15})?")
