"""edits: small changes to a policy's text that leave every other character as it is.

A Source finds a rule's node by its id and makes the Edits that replace it, delete it or put rules beside it,
in block style and in flow style alike. What an edit means is checked elsewhere: here is only text.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ruamel.yaml.nodes import CollectionNode, MappingNode, ScalarNode, SequenceNode

from laneway.yaml_nodes import Node, compose

__all__ = ["Edit", "Repair", "Source", "applied", "diff", "flow", "place"]


@dataclass(frozen=True, slots=True)
class Edit:
    """`text` in the place of the characters from `start` up to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Repair:
    """Edits that mend a finding, in words and in text. `safe`: they close access only, and delete no sentence."""

    says: str
    edits: tuple[Edit, ...]
    safe: bool = False


def applied(source: str, edits: Iterable[Edit]) -> str:
    """`source` with edits that do not overlap."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        source = source[: edit.start] + edit.text + source[edit.end :]
    return source


def place(source: str, offset: int) -> tuple[int, int]:
    """The line and the column of an offset, both from 1."""
    return source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset)


def diff(source: str, edits: Iterable[Edit]) -> list[str]:
    """The changed lines, each after its sign: `- old`, `+ new`."""
    old, new = source.splitlines(), applied(source, edits).splitlines()
    lines = list(difflib.unified_diff(old, new, n=0, lineterm=""))[2:]
    return [f"{line[0]} {line[1:].strip()}" for line in lines if line[0] in "+-" and line[1:].strip()]


def flow(value: object) -> str:
    """Nodes, mappings, lists and words as YAML on one line."""
    if isinstance(value, MappingNode):
        return flow({str(key.value): inner for key, inner in value.value})
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, ScalarNode):
        return flow(str(value.value))
    if isinstance(value, SequenceNode):
        return flow(value.value)
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, Iterable):
        return "[" + ", ".join(map(flow, value)) + "]"
    return f"{value}"


_PLAIN = re.compile(r"[A-Za-z0-9](?:[\w./()%' -])*(?<! )")
"""Text that reads the same without quotes, in a flow collection too."""


class Source:
    """A policy's text with its nodes."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.root = compose(text, file)
        self._newline = "\r\n" if "\r\n" in text else "\n"

    def at(self, *path: str | int, under: Node | None = None) -> Node | None:
        """The node at the end of keys and places, None where there is none."""
        node: Node | None = under or self.root
        for step in path:
            if isinstance(node, MappingNode):
                node = next((value for key, value in node.value if key.value == step), None)
            elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
            else:
                return None
        return node

    def items(self, key: str) -> list[Node]:
        """The nodes of a list, of a rule list above all; [] where it is absent."""
        node = self.at(key)
        return list(node.value) if isinstance(node, SequenceNode) else []

    def rule(self, about: str, *keys: str) -> tuple[str, int] | None:
        """Where the rule with this id stands, in one of these lists or in any: its list and its place there."""
        for key in keys or ("wall", "routes", "fallbacks", "reviews", "shadow", "must"):
            for i, node in enumerate(self.items(key)):
                id = self.at("id", under=node)
                if about == (f"{key}[{i}]" if id is None else id.value):
                    return key, i
        return None

    def replace(self, node: Node, value: object) -> Edit:
        """Another value in a node's place."""
        start, text = node.start_mark.index, flow(value)
        if not isinstance(node, ScalarNode) and not _inline(node):
            before = self.text[:start].rstrip()
            if before.endswith(":"):  # up to the key's line, unless a comment stands between
                start, text = len(before), f" {text}"
        return Edit(start, _end(node), text)

    def put(self, mapping: Node, key: str, value: object) -> Edit:
        """A key's value in a mapping: replaced where it is there, else added."""
        there = self.at(key, under=mapping)
        if there is not None:
            return self.replace(there, value)
        text, at = f"{key}: {flow(value)}", _end(mapping)
        if _inline(mapping):
            return Edit(at - 1, at - 1, f", {text}" if mapping.value else text)
        return self._line(self._after(at), mapping.start_mark.column, text)

    def insert(self, key: str, index: int, rules: Sequence[Mapping[str, object]]) -> Edit:
        """Rules before the one at `index` of a list, or after its last."""
        items, node = self.items(key), self.at(key)
        if node is None or (not items and not _inline(node)):
            text = self._newline.join(f"  - {flow(rule)}" for rule in rules)
            return self._line(self._after(_end(self.root)), 0, f"{key}:{self._newline}{text}")
        if _inline(node):
            text = ", ".join(map(flow, rules))
            if index < len(items):
                return Edit(items[index].start_mark.index, items[index].start_mark.index, f"{text}, ")
            at = _end(items[-1]) if items else node.start_mark.index + 1
            return Edit(at, at, f", {text}" if items else text)
        column = node.start_mark.column
        at = self._start(items[index]) if index < len(items) else self._after(_end(items[-1]))
        return self._line(at, column, *(f"- {flow(rule)}" for rule in rules))

    def delete(self, key: str, index: int) -> Edit:
        """A list without the rule at `index`."""
        node = self.at(key)
        assert node is not None
        return self.cut(node, index)

    def cut(self, node: Node, index: int) -> Edit:
        """A list without its item at `index`."""
        return self._without(node, [(item, item) for item in node.value], index)

    def drop(self, mapping: Node, key: str) -> Edit:
        """A mapping without a key that it has."""
        return self._without(mapping, mapping.value, [name.value for name, _ in mapping.value].index(key))

    def _without(self, node: Node, parts: Sequence[tuple[Node, Node]], index: int) -> Edit:
        """A collection without one of its parts, each with the nodes where it begins and ends."""
        first, last = parts[index]
        if not _inline(node):
            return Edit(self._start(first), self._after(_end(last)), "")
        if index + 1 < len(parts):
            return Edit(first.start_mark.index, parts[index + 1][0].start_mark.index, "")
        return Edit(_end(parts[index - 1][1]) if index else first.start_mark.index, _end(last), "")

    def move(self, key: str, index: int, to: int) -> tuple[Edit, Edit]:
        """The rule at `index` before the one at `to`."""
        items, cut = self.items(key), self.delete(key, index)
        node = self.at(key)
        assert node is not None
        if _inline(node):
            at = items[to].start_mark.index
            return Edit(at, at, self.text[items[index].start_mark.index : _end(items[index])] + ", "), cut
        at, text = self._start(items[to]), self.text[cut.start : cut.end]
        return Edit(at, at, text if text.endswith("\n") else text + self._newline), cut

    def _line(self, at: int, column: int, *lines: str) -> Edit:
        text = "".join(f"{' ' * column}{line}{self._newline}" for line in lines)
        return Edit(at, at, text if at == 0 or self.text[at - 1] == "\n" else self._newline + text)

    def _start(self, item: Node) -> int:
        """Where the line of a list's item begins."""
        return self.text.rfind("\n", 0, item.start_mark.index) + 1

    def _after(self, offset: int) -> int:
        """Where the next line begins."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end + 1


def _inline(node: Node) -> bool:
    return isinstance(node, CollectionNode) and bool(node.flow_style)


def _end(node: Node) -> int:
    """Where a node's own text ends: a block collection's mark stands behind the blanks that follow it."""
    if isinstance(node, MappingNode | SequenceNode) and not _inline(node) and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)
