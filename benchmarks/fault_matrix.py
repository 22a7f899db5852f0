"""fault_matrix: every class, every fault of either lane, stream and whole, asked in every way, before a capture server.

    python -m benchmarks.fault_matrix                  # all cells; about 15 minutes
    python -m benchmarks.fault_matrix --sample         # what the tests run; seconds
    python -m benchmarks.fault_matrix --write          # and put the tables into docs/faults.md

Exits with 1 if a cell did not end in time, told another's answer, or let a restricted byte outside. All of it is on
127.0.0.1 and in one process: clients, server and lanes share one event loop.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import uvloop
from tests.faults.cells import SLOW, WRONG, Cell, every, hedged, sample
from tests.faults.matrix import ALLOWED, HEDGE, TOTAL, Ended, Ran, matrix, spread

PAGE = Path(__file__).parent.parent / "docs" / "faults.md"


def figures(ran: Ran, minutes: float, at_once: int) -> Iterator[tuple[str, str]]:
    """What the run says as a whole."""
    cells = [ended.cell for ended in ran.ended]
    restricted, overdue = sum(cell.restricted for cell in cells), [e for e in ran.ended if e.seconds > TOTAL]
    yield "cells", f"{len(cells):,}, of them {restricted:,} restricted; {at_once} at once"
    yield "cells that ended with one answer or one error, as on record", f"{len(cells) - len(ran.wrong()):,}"
    yield "requests and bytes that the external lane saw", f"{ran.outside.requests:,} and {ran.outside.size:,}"
    yield "restricted requests among them", f"{len(ran.outside.secret)} of {restricted:,}"
    yield "keys of clients among them", f"{ran.outside.keys}"
    yield "cells that ran past their deadline of 1 s", f"{len(overdue):,}"
    late = spread([e.seconds - TOTAL for e in overdue])
    yield "by how much, ms: median / 99th of 100 / worst", late
    yield "of that, waiting for the disk of the log", spread([e.disk for e in overdue])
    yield (
        "the rest, from when the server took it, without the time in which the event loop was held up",
        spread([e.late for e in overdue]),
    )
    yield f"later than {ALLOWED * 1000:.0f} ms", f"{sum(e.late > ALLOWED for e in overdue)}"
    yield "times the event loop was held up, and for how long, ms", f"{len(ran.lags):,}: {spread(ran.lags)}"
    if made := {how: n for how, n in ran.hedges.items() if not how.startswith("not made")}:
        won, cut_off = made.get("answered", 0), made.get("cancelled", 0)
        ends = f"{won:,} won, {cut_off:,} were cut off, {sum(made.values()) - won - cut_off:,} failed"
        yield "calls beside a slow lane", f"{sum(made.values()):,}: {ends}"
    yield "whole run", f"{minutes:.1f} min, load average {os.getloadavg()[1]:.1f}"


def told(ended: list[Ended]) -> str:
    """How such cells ended, in a few words, and how long that took at the median."""
    if not ended:
        return ""
    ends = dict.fromkeys(e.code.replace("_", " ") or e.lane for e in sorted(ended, key=lambda e: e.cell.number))
    median = sorted(e.seconds for e in ended)[len(ended) // 2]
    return f"{', '.join(ends)}; {median * 1000:.0f} ms"


def by_fault(ran: Ran) -> Iterator[tuple[str, ...]]:
    """For each fault: how restricted requests end where the first lane has it, and where both have."""

    def those(first: str, second: str, *, stream: bool) -> list[Ended]:
        def one(cell: Cell) -> bool:
            parts = (cell.first, cell.second, cell.stream, cell.ask)
            return parts == (first, second, stream, "auto") and cell.restricted

        return [ended for ended in ran.ended if one(ended.cell)]

    for wrong in WRONG:
        for_first = [told(those(wrong, "none", stream=stream)) for stream in (False, True)]
        yield (f"`{wrong}`", *for_first, *(told(those(wrong, wrong, stream=stream)) for stream in (False, True)))


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def run(cells: list[Cell], at_once: int, *, hedges: bool = False) -> tuple[Ran, float]:
    """The cells, run, and the minutes that it took."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="laneway-matrix-") as name:
        ran = uvloop.run(matrix(Path(name), cells, at_once=at_once, hedged=hedges))
    return ran, (time.monotonic() - began) / 60


def main() -> int:
    """Run, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fault_matrix", description=__doc__)
    parser.add_argument("--sample", action="store_true", help="only what the tests run")
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    options = parser.parse_args()
    cells = sample() if options.sample else list(every())
    runs = [run(cells, options.at_once), run(list(hedged(cells)), options.at_once, hedges=True)]
    faults = ("fault", "first lane has it: whole", "stream", "both have it: whole", "stream")
    text, beside = (table(("what", "figure"), figures(*each, options.at_once)) for each in runs)
    if not options.sample:
        text += f"\n{table(faults, by_fault(runs[0][0]))}"
    text += f"\nWith a policy that hedges after {HEDGE:g} s, the cells whose first lane has one of: "
    text += f"{', '.join(f'`{fault}`' for fault in SLOW)}.\n\n{beside}"
    print(text)
    if options.write:
        page = PAGE.read_text("utf-8")
        marks = "(<!-- matrix -->\n).*(<!-- end of matrix -->)"
        PAGE.write_text(re.sub(marks, lambda m: f"{m[1]}\n{text}\n{m[2]}", page, flags=re.S), "utf-8")
    wrong = [why for ran, _ in runs for why in ran.wrong()]
    print("\n".join(wrong[:20]), file=sys.stderr)
    return int(bool(wrong) or any(ran.outside.secret or ran.outside.keys for ran, _ in runs))


if __name__ == "__main__":
    sys.exit(main())
