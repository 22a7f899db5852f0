"""told: what `laneway review` says of the week's log, held against the answers of those who took part."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from click.testing import CliRunner
from tests.week.ledgers import Answers
from tests.week.play import Played

from laneway.cli import main

__all__ = ["TABLES", "differences", "told"]

TABLES = ("escalated", "rejected", "fallbacks", "raised", "other_models")


def told(played: Played) -> Any:
    """What `laneway review --json` says of all of the log."""
    done = CliRunner().invoke(main, ["review", "--policy", played.policy.file, "--log", str(played.log),
                                     "--since", "all", "--json"])  # fmt: skip
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def differences(known: Answers, review: Any) -> tuple[int, list[str]]:
    """How many rows were compared, and each that is not the same."""
    mine, theirs = Counter[tuple[str, ...]](), Counter[tuple[str, ...]]()
    for table in TABLES:
        mine.update({(table, *key): times for key, times in getattr(known, table).items()})
        for row in review[table]:
            theirs[table, row["workload"], row["rule"], row["lane"], row["cause"]] += row["times"]
    mine.update({("ends", end): times for end, times in known.ends.items()})
    theirs.update({("ends", end): times for end, times in review["ends"].items()})
    mine.update({("lanes", lane): times for lane, times in known.lanes.items()})
    theirs.update({("lanes", use["lane"]): use["answered"] for use in review["lanes"]})
    (money,), paid = review["money"], known.money
    mine["money", "compared"], theirs["money", "compared"] = paid.answered, money["compared"]
    rows = len(mine.keys() | theirs.keys())
    wrong = [
        f"{', '.join(key)}: {mine[key]} by the ledgers, {theirs[key]} by the log"
        for key in sorted(mine.keys() | theirs.keys()) if mine[key] != theirs[key]
    ]  # fmt: skip
    amounts = {"spent": paid.spent, "shadows": paid.shadows, "cost": paid.cost, "premium": paid.premium,
               "saved": paid.premium - paid.cost}  # fmt: skip
    wrong += [
        f"money, {key}: {amount} by the ledgers, {money[key]} by the log"
        for key, amount in amounts.items() if abs(amount - money[key]) > 1e-6  # sums of floats depend on their order
    ]  # fmt: skip
    return rows + len(amounts), wrong
