"""review_kills: is anything released that nobody approved, after many kills, races and time-outs in the review path?

    python -m benchmarks.review_kills --kills 1000     # about 25 minutes

A real `laneway serve` is ended by SIGKILL again and again, and dies by itself around what it keeps, while clients ask, poll,
wait and go away, and five people approve, edit, reject, send on and reclassify, rightly and wrongly. By the ledgers of clients and
reviewers, see `tests/faults/review_kills.py`. Exits with 1 where anything was released unapproved, or was approved and
is lost. All of it is on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.review_kills import judged, played


def main() -> int:
    """Run, and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.review_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no further life after so long")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="laneway-reviews-") as name:
        began = time.monotonic()
        playing = played(Path(name), options.kills, seed=options.seed, seconds=options.minutes * 60)
        ledger = asyncio.run(playing)
        found = judged(Path(name), ledger)
    rows: dict[str, object] = {
        "lives of the server": f"{ledger.kills:,}, of which {ledger.deaths:,} ended around what is kept",
        "requests / released to their caller": f"{found.asked:,} / {found.released:,}",
        "decisions that reviewers sent": f"{sum(map(len, ledger.sent.values())):,}",
        "released and not approved": len(found.unapproved),
        "approved, confirmed, and lost": len(found.lost),
        "hash chain": found.chain,
        "answers": ", ".join(f"{name} {count:,}" for name, count in found.answers.most_common()),
        "whole run": f"{(time.monotonic() - began) / 60:.1f} min",
    }
    print("| what | figure |\n|---|---|")
    for what, figure in rows.items():
        print(f"| {what} | {figure} |")
    for wrong in (*found.unapproved, *found.lost)[:20]:
        print(wrong)
    return int(bool(found.unapproved or found.lost or found.chain != "holds"))


if __name__ == "__main__":
    sys.exit(main())
