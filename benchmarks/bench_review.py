"""bench_review: how long the weekly review of a big log takes, whole and from what is kept.

    python -m benchmarks.biglog FOLDER --decisions 500000 --days 14
    python -m benchmarks.bench_review FOLDER

Half of the log is the period, half the one before. CPU seconds are those of all processes together; the kept counts are
made in a copy of nothing: `laneway.summary` in the folder is deleted first.
"""

from __future__ import annotations

import argparse
import datetime
import resource
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from laneway.clock import today
from laneway.policy_file import load
from laneway.store.rows import Rows
from laneway.weekly.kept import Kept
from laneway.weekly.reading import advise, read

T = TypeVar("T")


def timed(what: str, work: Callable[[], T]) -> T:
    """The result of some work, whose times are printed as a row of a table."""
    wall, spent = time.perf_counter(), _spent()
    made = work()
    print(f"| {what} | {time.perf_counter() - wall:.3f} | {_spent() - spent:.3f} |", flush=True)
    return made


def _spent() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_review", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    log, policy = folder / "laneway.db", load(folder / "laneway.yaml")
    now = datetime.datetime.now(datetime.UTC)
    log.with_suffix(".summary").unlink(missing_ok=True)
    print("| what | seconds | CPU seconds |\n|---|--:|--:|")
    with closing(Rows(log)) as rows:
        records = rows.last()
    week = now - datetime.timedelta(days=7)
    made, found, frame = timed(f"`review --no-advice`, {records:,} records", lambda: read(log, "7d", week, now))
    cases = folder / "cases.yaml"
    timed("what to do, besides", lambda: advise(log, made, found, frame, policy, cases, today()))
    with closing(Kept(log)) as kept:
        micros = int(now.timestamp() * 1e6)
        timed("kept counts, made for the first time", kept.bring_up)
        timed("a page's review of 7 days", lambda: kept.review("7d", micros))
        timed("a page's review of 30 days", lambda: kept.review("30d", micros))
        timed("the same again", lambda: kept.review("30d", micros))
    with closing(Kept(log)) as kept:
        timed("a page's review of 7 days, after a restart", lambda: kept.review("7d", micros))
    most = [resource.getrusage(who).ru_maxrss // 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"\nLargest resident memory: {most[0]} MiB here, {most[1]} MiB in a process that reads.")


if __name__ == "__main__":
    main()
