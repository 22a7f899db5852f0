"""The policy grammar's part for `reviews`: whose answers a person releases, how many people, and in what time."""

from __future__ import annotations

from typing import Any

from laneway.policy import Review
from laneway.yaml_nodes import Entries, Node, Reading, listed, one_of, seconds, whole

__all__ = ["KEYS", "review"]

KEYS = ("id", "says", "when", "release", "wait", "within", "eyes", "comment")
_ACTIONS = ("approve", "edit", "reject", "send", "reclassify")
_APPROVAL = ("wait", "within", "eyes", "comment")
_LONGEST = 90 * 86_400.0
_PATIENCE = 3_600.0


def review(entries: Entries, reading: Reading, shared: dict[str, Any]) -> Review:
    """One rule of `reviews`; `shared` is what it has in common with every rule."""
    release = entries.get("release", one_of(["now", "after-approval"], "release")) or "after-approval"
    if release == "now":
        for key in _APPROVAL:
            if key in entries.nodes:
                reading.note(entries.keys[key], f"`{key}` says how an answer waits for a person, and `release: now` "
                             "lets it go: leave one out")  # fmt: skip
    found = {
        "wait": entries.get("wait", _wait),
        "within": entries.get("within", _within),
        "eyes": entries.get("eyes", _eyes),
        "comment": entries.get("comment", listed(one_of(_ACTIONS, "action"))),
    }
    return Review(**shared, release=release, **{k: v for k, v in found.items() if v is not None})  # type: ignore[arg-type]


def _wait(node: Node, reading: Reading) -> float:
    found = seconds(node, reading)
    if found > _PATIENCE:
        reading.fail(node, "no caller waits longer than 60m; who is asked later polls for the answer")
    return found


def _within(node: Node, reading: Reading) -> float:
    found = seconds(node, reading)
    if not 60 <= found <= _LONGEST:
        reading.fail(node, "`within` is from 60s to 90d: until then the words are kept, and then they are erased")
    return found


def _eyes(node: Node, reading: Reading) -> int:
    found = whole(node, reading)
    if found not in (1, 2):
        reading.fail(node, "`eyes` is how many people must approve: 1 or 2")
    return found
