"""The policy grammar's part for `shadow`: who answers unseen, which share, for how much money and how long."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from laneway.grammar import RANKINGS
from laneway.lane import Lane
from laneway.policy import Shadow
from laneway.yaml_nodes import Entries, Node, Reading, date, listed, number, one_of

__all__ = ["shadow"]

_WHAT = "a shadow"


def shadow(
    entries: Entries, reading: Reading, lanes: Mapping[str, Lane], zones: Collection[str], shared: dict[str, Any]
) -> Shadow:
    """One rule of `shadow`; `shared` is what it has in common with every rule."""
    names = (*lanes, *zones)
    who = entries.need("lanes", listed(one_of(names, "lane or zone")), _WHAT)
    judge = entries.get("judge", listed(one_of((*RANKINGS, *names), "lane, zone or ranking word"))) or ()
    for key, words in (("lanes", who), ("judge", judge)):
        if key in entries.nodes and not words:
            reading.fail(entries.nodes[key], f"`{key}` of a shadow needs at least one word")
    budget = entries.get("budget", number)
    made = Shadow(
        **shared, lanes=who, share=entries.need("share", _share, _WHAT), judge=judge, budget=budget,
        until=entries.need("until", date, _WHAT),
    )  # fmt: skip
    costly = sorted(_costly((*who, *judge), lanes))
    unknown = [name for name in who if name in lanes and lanes[name].price is None]
    if unknown:
        reading.note(entries.node, f"the price of {', '.join(unknown)} is not known, so that no `budget` can hold it")
    elif budget is None and costly:
        reading.note(entries.node, f"{', '.join(costly)} may cost money: say how much a day with `budget`")
    return made


def _share(node: Node, reading: Reading) -> float:
    found = number(node, reading)
    if not 0 < found <= 1:
        reading.fail(node, "`share` is above 0 and at most 1, such as 0.05 for one request in twenty")
    return found


def _costly(words: Collection[str], lanes: Mapping[str, Lane]) -> set[str]:
    """The lanes among those that the words may name, on any day, that are not known to cost nothing."""
    named = [word for word in words if word in lanes]
    may = lanes if len(named) < len(words) else named
    return {name for name in may if lanes[name].cost(1 << 20, 1 << 20) != 0}
