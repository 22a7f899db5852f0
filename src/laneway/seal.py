"""seal: a hash over a policy's sentences and rules, and an approval with that hash, written into the text.

The hash covers every value in the file and nothing of its layout: not comments, the order of keys, or quotes.
It shows a change that nobody mentioned. It is no signature: whoever can write the file can seal it again.
"""

from __future__ import annotations

import datetime
import hashlib
import json

from ruamel.yaml.nodes import MappingNode

from laneway.policy import Policy
from laneway.yaml_nodes import Node, compose

__all__ = ["meaning", "sealed"]

_Edit = tuple[int, int, str]


def meaning(root: Node, fresh_days: int) -> str:
    """The SHA-256, in hex, of the file under `root`, without who approved it and when.

    How long facts count as fresh stands under `approved` too, but is a rule, so that it is covered.
    """
    said = {str(key.value): _plain(value) for key, value in root.value if key.value != "approved"}
    said["approved"] = {"review_every": f"{fresh_days}d"}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(node: Node) -> object:
    if isinstance(node.value, str):
        return node.value
    if isinstance(node, MappingNode):
        return {str(key.value): _plain(value) for key, value in node.value}
    return [_plain(item) for item in node.value]


def sealed(policy: Policy, *, by: str, on: datetime.date) -> str:
    """The policy's text with `approved` saying so; every other character stays as it is."""
    source = policy.text
    root = compose(source, policy.file)
    said = {"by": json.dumps(by, ensure_ascii=False), "on": on.isoformat(), "hash": json.dumps(policy.meaning)}
    approved = _child(root, "approved")
    if approved is None:
        said["review_every"] = f"{policy.fresh_days}d"
        entry = "approved: {" + ", ".join(f"{key}: {value}" for key, value in said.items()) + "}"
        edits = [_added(source, root, _child(root, "name"), entry)]
    else:
        edits = [_put(source, approved, key, value) for key, value in said.items()]
    for start, end, text in sorted(edits, reverse=True):
        source = source[:start] + text + source[end:]
    return source


def _child(mapping: Node, key: str) -> Node | None:
    return next((value for name, value in mapping.value if name.value == key), None)


def _put(source: str, mapping: Node, key: str, value: str) -> _Edit:
    """The edit that makes `key` say `value`: over what it says now, else behind the last entry."""
    node = _child(mapping, key)
    if node is None:
        return _added(source, mapping, mapping.value[-1][1], f"{key}: {value}")
    return node.start_mark.index, _end(source, node), value


def _added(source: str, mapping: Node, after: Node | None, entry: str) -> _Edit:
    assert after is not None
    end = _end(source, after)
    if isinstance(mapping, MappingNode) and mapping.flow_style:
        return end, end, f", {entry}"
    line = source.find("\n", end)  # behind a comment that may follow on the same line
    newline = "\r\n" if "\r\n" in source else "\n"
    indented = " " * mapping.value[0][0].start_mark.column + entry
    return (len(source), len(source), newline + indented) if line < 0 else (line + 1, line + 1, indented + newline)


def _end(source: str, node: Node) -> int:
    """Where the node's last visible character ends; a block's own mark stands on the line after it."""
    return len(source[: node.end_mark.index].rstrip())
