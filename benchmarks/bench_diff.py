"""bench_diff: how long two policies of many rules take to compare, by what was changed between them.

    python -m benchmarks.bench_diff [--rules 200] [--most 10] [--json]

The policies are those of bench_check: 12 facts, 12 lanes, 4 classes. From two loaded policies to the report, in CPU
seconds, which are those of one idle core. Ten classes of change are asked for and whether there are more, as by
`laneway diff`, and one class is denied new access.
"""

from __future__ import annotations

import argparse
import json
import re
import time

from benchmarks.bench_check import TODAY, made

from laneway.diff.compare import compare
from laneway.policy_file import parse


def edits(text: str) -> dict[str, str]:
    """The policy's text after each of several changes."""
    return {
        "nothing": text.replace("name: made", "name: renamed"),
        "the first route": re.sub(r"try: \[[^\]]*\]", "try: [lane7]", text, count=1),
        "a rule on top": text.replace("routes:", "routes:\n  - {when: {fact0: v1, stakes: high}, try: strongest}", 1),
        "every `cheapest`": text.replace("try: [cheapest]", "try: [strongest]"),
        "a row of the wall": text.replace("restricted, zones: [ours]", "restricted, zones: [ours, eea]"),
        "weak answers": text.replace("weak: [strongest, hold]", "weak: [cheapest, hold]"),
        "a lane's name": text.replace("lane11", "lane11b"),
    }


def main() -> None:
    """Print seconds by change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--most", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    old, rows = made(args.rules), []
    for what, text in edits(old.text).items():
        new = parse(text, "new.yaml")
        started = time.process_time()
        report = compare(old, new, TODAY, denied=("restricted",), seconds=600, most=args.most)
        rows.append({"changed": what, "seconds": round(time.process_time() - started, 2), "classes": len(report.changes),
                     "more": report.more, "access": len(report.access), "prover": report.prover,
                     "requests": float(report.requests)})  # fmt: skip
        if not args.json:
            print(rows[-1], flush=True)
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
