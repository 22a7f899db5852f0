"""tried: the week's requests under a changed policy: `laneway replay` against `laneway diff --since`, and the ledgers.

Both say what the same change does to the same requests, by other ways: the totals are to agree exactly. What each kind
of request is to become, and so how many requests move from where to where, is written here by hand.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from tests.week.ledgers import Answers
from tests.week.play import Played

from laneway.cli import main

__all__ = ["MOVES", "disagreements", "tried"]

_CHANGES = {
    "try: [shared, cheapest]": "try: [home, shared, cheapest]",
    "  - {id: sensitive-near,": "  - {id: confidential-shared, says: Other confidential work starts at the shared lane., "
    "when: {sensitivity: confidential}, try: [shared, safest]}\n  - {id: sensitive-near,",
    "when: {workload: board-paper, sensitivity: {at_least: confidential}}": "when: {workload: board-paper}",
}
MOVES = {
    "public note": ("shared", "home"), "internal note": ("shared", "home"), "as JSON": ("shared", "home"),
    "with a tool": ("shared", "home"), "claim": ("home", "shared"), "account": ("home", "shared"),
    "board paper": ("premium", "held"),
}  # fmt: skip
"""From which lane to which the changed policy moves a kind of request; the other kinds stay."""
_SHARED = (
    "requests",
    "changed",
    "sum",
    "changes",
    "classes",
    "moves",
    "lanes",
    "unproven",
    "waived",
    "lost",
    "unknown",
)


def tried(played: Played) -> tuple[Any, Any]:
    """What replay and diff say of the changed policy, as JSON. It is left beside the week's own."""
    policy = Path(played.policy.file)
    text = policy.read_text()
    for old, new in _CHANGES.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    changed = policy.with_name("changed.yaml")
    changed.write_text(text)
    log = ("--log", str(played.log), "--since", "all", "--json")
    replayed = _said("replay", str(changed), "--policy", str(policy), "--limit", "0", *log)
    return replayed, _said("diff", str(policy), str(changed), *log)


def disagreements(known: Answers, replay: Any, diff: Any) -> tuple[int, list[str]]:
    """How many figures were compared, and each that is not the same."""
    recorded, found = diff["recorded"], list[tuple[str, object, object]]()
    found += [(f"diff's and replay's {key}", _sorted(recorded[key]), _sorted(replay[key])) for key in _SHARED]
    for key in ("requests", "cost", "low", "high"):
        classes = sum(one[key] for one in (*recorded["in_classes"], *recorded["beside"]))
        changes = sum(one[key] for one in replay["changes"] if one["change"] != "unchanged")
        found.append((f"{key} of diff's classes, and of what replay changes", round(classes, 8), round(changes, 8)))
    moved, cost = Counter[tuple[str, str]](), defaultdict[tuple[str, str], float](float)
    for kind, move in MOVES.items():
        moved[move] += known.kinds[kind]
        cost[move] += known.costs[kind]
    told = {(one["from"], one["to"]): one for one in replay["moves"]}
    found.append(("recorded requests", known.ends.total(), replay["requests"]))
    found.append(("changed requests", moved.total(), replay["changed"]))
    for move in sorted({*moved, *told}):
        one = told.get(move, {"requests": 0, "cost": 0.0})
        found.append((f"requests from {' to '.join(move)}", moved[move], one["requests"]))
        same = abs(cost[move] - one["cost"]) < 1e-6  # sums of floats depend on their order
        found.append((f"their money, {' to '.join(move)}", cost[move], cost[move] if same else one["cost"]))
    return len(found), [f"{what}: {mine} and {theirs}" for what, mine, theirs in found if mine != theirs]


def _said(*arguments: str) -> Any:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def _sorted(value: Any) -> Any:
    """Rows are in no order that matters."""
    return sorted(value, key=json.dumps) if isinstance(value, list) else value
