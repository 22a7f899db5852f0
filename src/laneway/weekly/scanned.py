"""scanned: a log in, what is in it out: read once, in stretches, by as many processes as there are cores.

A short log is read here; a long one is cut into stretches, whose counts are added up in their order. No more of the log
than a page for each process is in memory at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

from laneway.store.rows import Rows
from laneway.weekly.links import Links
from laneway.weekly.scan import Found, Scan

__all__ = ["Progress", "SliceOf", "quiet", "scanned"]

Progress = Callable[[int, int], None]
"""Called with how many records were read, of how many."""
SliceOf = Callable[[int], int | None]
"""To which slice a moment belongs; another process must be able to have it too."""

_STRETCH = 100_000
_NICE = 10


def quiet(done: int, of: int) -> None:
    """Says nothing of how far it is."""


def scanned(path: Path, slice_of: SliceOf, start: int, progress: Progress = quiet, *, nice: bool = False) -> Found:
    """What is in the log at `path` behind record `start`; `nice`: other work goes first. Raises LogError."""
    with closing(Rows(path)) as rows:
        last, found = rows.last(), Found(Links(start, rows.head(start)))
    cuts = [*range(start, last, _STRETCH), last]
    parts = [(path, slice_of, *cut) for cut in pairwise(cuts)]
    for (_, _, _, end), part in zip(parts, _read(parts, nice=nice), strict=True):
        found.add(part)
        progress(end - start, last - start)
    return found


_Part = tuple[Path, SliceOf, int, int]


def _read(parts: list[_Part], *, nice: bool) -> Iterator[Found]:
    if len(parts) < 3:
        yield from map(_stretch, parts)
        return
    most, context = min(len(parts), os.cpu_count() or 1), get_context("spawn")
    with ProcessPoolExecutor(most, context, initializer=os.nice, initargs=(_NICE * nice,)) as pool:
        yield from pool.map(_stretch, parts)


def _stretch(part: _Part) -> Found:
    """The records behind one number up to another."""
    path, slice_of, after, until = part
    with closing(Rows(path)) as rows:
        scan = Scan(Found(Links(after, rows.head(after))), slice_of, rows.of)
        for page in rows.after(after):
            scan.feed(row for row in page if row[0] <= until)
            if page[-1][0] >= until:
                break
    return scan.found
