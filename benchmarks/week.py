"""week: does the review of a week say what the lanes and the client say who took part in it?

    python -m benchmarks.week                          # 100,000 requests; some minutes on one core
    python -m benchmarks.week --requests 5000 --seed 2 --keep DIR    # the log and its policy stay in DIR

A seeded week (tests/week) goes through the real server, over real sockets, to scripted lanes that have outages, answer
weakly, become other models and hang. The three answers of `laneway review` are held against those taken from the
lanes' and the client's own ledgers, and `laneway replay` under a changed policy against `laneway diff --since` and them.
Exits with 1 where a row differs. All of it is on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import uvloop
from tests.week.ledgers import answers
from tests.week.play import play
from tests.week.told import differences, told
from tests.week.tried import disagreements, tried

from laneway.store import Reader

START = datetime.date(2026, 11, 23)


def main() -> int:
    """Run, and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.week", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=datetime.date.fromisoformat, default=START, help="the week's first day, UTC")
    parser.add_argument("--keep", type=Path, help="an empty directory for the log and its policy")
    options = parser.parse_args()
    logging.getLogger("laneway").setLevel(logging.CRITICAL)  # a week of outages is a lot of warnings
    start = datetime.datetime.combine(options.start, datetime.time(), datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="laneway-week-") as scratch:
        played = uvloop.run(play(options.keep or Path(scratch), options.seed, options.requests, start))
        known = answers(played)
        began = time.perf_counter()
        review = told(played)
        took = time.perf_counter() - began
        rows, different = differences(known, review)
        figures, disagreeing = disagreements(known, *tried(played))
        with closing(Reader.open(played.log)) as reader:
            chain = reader.verify()
    wrong = [*known.unexplained, *different, *disagreeing, *([] if chain.ok else [f"the chain: {chain.problem}"])]
    print("| what | figure |\n|---|--:|")
    for what, figure in (
        ("requests / calls of lanes / words of users and operators",
         f"{len(played.asked):,} / {len(played.calls):,} / {len(played.words):,}"),
        ("seconds, requests a second, lanes and client in the same process",
         f"{played.seconds:.0f}, {len(played.asked) / played.seconds:.0f}"),
        ("records of the log, its chain", f"{chain.entries:,}, {'holds' if chain.ok else 'BROKEN'}"),
        ("escalations / rejected answers / fallbacks",
         f"{known.escalated.total():,} / {known.rejected.total():,} / {known.fallbacks.total():,}"),
        ("spent by the ledgers", f"{known.money.spent:.6f}"),
        ("`laneway review`, seconds", f"{took:.1f}"),
        ("rows and figures compared", f"{rows}"),
        ("not the same", f"{len(different)}"),
        ("figures of `replay`, `diff --since` and the ledgers compared", f"{figures}"),
        ("not the same", f"{len(disagreeing)}"),
        ("what the ledgers alone leave unexplained", f"{len(known.unexplained)}"),
    ):  # fmt: skip
        print(f"| {what} | {figure} |")
    for line in wrong[:50]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
