"""kills: is anything that a client received missing from the log, after many kills under load?

    python -m benchmarks.kills --kills 1000            # about 25 minutes
    python -m benchmarks.kills --kills 20 --early      # a server that answers before the commit: must lose answers

A real `laneway serve` is ended by SIGKILL again and again while a separate client has 64 requests under way, half of
them streams. Exits with 1 if anything is missing, or with `--early` if nothing is. All of it is on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.kills import EARLY, SERVE, killed, settled


def fsync_ms(directory: Path) -> float:
    """The median time of an fsync of a KB appended to a file there."""
    times = []
    with (directory / "probe").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(1024))
            began = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1000


def main() -> int:
    """Run, and print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--early", action="store_true", help="a server that answers before the commit")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no further life after so long")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="laneway-kills-") as name:
        directory, began = Path(name), time.monotonic()
        probe = fsync_ms(directory)
        serve = EARLY if options.early else SERVE
        ledger = killed(directory, options.kills, serve=serve, seconds=options.minutes * 60)
        found = settled(directory / "laneway.db", ledger)
        size = (directory / "laneway.db").stat().st_size
    starts = sorted(ledger.starts)
    rows: dict[str, object] = {
        "kills": len(ledger.starts) - 1,
        "answers that the client got whole": f"{len(ledger.answered):,}, of them {found.streams:,} streams",
        "answered but not on record as answered": len(found.lost),
        "streams whose head the client had when the kill came": f"{found.cut:,}",
        "ids that the client saw and the log does not know": len(found.unknown),
        "requests that the next start closed as interrupted": f"{found.ends['interrupted']:,}",
        "requests left open": found.ends["open"],
        "hash chain": "holds" if found.whole else "BROKEN",
        "start until it serves, s: median / 99th of 100 / worst":
            f"{statistics.median(starts):.2f} / {starts[int(0.99 * (len(starts) - 1))]:.2f} / {starts[-1]:.2f}",
        "log at the end": f"{size / 2**20:,.0f} MB, {found.ends.total():,} requests",
        "fsync of the log's disk, median": f"{probe:.2f} ms",
        "whole run": f"{(time.monotonic() - began) / 60:.0f} min, load average {os.getloadavg()[1]:.1f}",
    }  # fmt: skip
    print("| what | figure |\n|---|---|")
    for what, figure in rows.items():
        print(f"| {what} | {figure} |")
    sound = not found.lost and not found.unknown and found.whole and not found.ends["open"]
    return int(sound == options.early)


if __name__ == "__main__":
    sys.exit(main())
