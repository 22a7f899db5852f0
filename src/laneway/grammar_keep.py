"""The policy grammar's part for what is kept, and how long: `retention` of decisions, `capture` of content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from laneway.policy import KEPT_DAYS, Capture, Retention
from laneway.yaml_nodes import Entries, Node, Reading, days, listed, one_of

__all__ = ["capture", "retention"]

_LONGEST_CAPTURE = 365
_LONGEST = 36_525


def retention(entries: Entries, reading: Reading, classes: Sequence[str], shared: dict[str, Any]) -> Retention:
    """One rule of `retention`; `shared` is what it has in common with every rule."""
    named = entries.need("sensitivity", listed(one_of(classes, "class")), "a rule of `retention`")
    if not named or len(set(named)) != len(named):
        reading.fail(entries.nodes["sensitivity"], "name each class once, and at least one")
    return Retention(**shared, classes=frozenset(named), days=entries.need("for", _kept, "a rule of `retention`"))


def capture(entries: Entries, reading: Reading, shared: dict[str, Any]) -> Capture:
    """One rule of `capture`; it keeps words, so that it says of which requests and how long."""
    if "when" not in entries.nodes:
        reading.fail(entries.node, "a rule of `capture` needs `when`: content is kept of the requests that it names")
    return Capture(**shared, days=entries.need("for", _captured, "a rule of `capture`"))


def _kept(node: Node, reading: Reading) -> int:
    found = days(node, reading)
    if not KEPT_DAYS <= found <= _LONGEST:
        reading.fail(node, f"decisions are kept at least {KEPT_DAYS}d, and at most {_LONGEST}d")
    return found


def _captured(node: Node, reading: Reading) -> int:
    found = days(node, reading)
    if not 1 <= found <= _LONGEST_CAPTURE:
        reading.fail(node, f"content is kept from 1d to {_LONGEST_CAPTURE}d")
    return found
