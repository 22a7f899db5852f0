"""scanned: a log and a frame in, what is in it out: read once, in stretches, by as many processes as there are cores.

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
from laneway.weekly.frame import Frame
from laneway.weekly.links import Links
from laneway.weekly.scan import Found, Scan

__all__ = ["Progress", "quiet", "scanned"]

Progress = Callable[[int, int], None]
"""Called with how many records were read, of how many."""


def quiet(done: int, of: int) -> None:
    """Says nothing of how far it is."""


_STRETCH = 100_000


def scanned(path: Path, frame: Frame, progress: Progress = quiet) -> Found:
    """What is in the log at `path` of a frame. Raises LogError."""
    with closing(Rows(path)) as rows:
        start = rows.before(frame.began(-frame.slices if frame.compared else 0))
        last = rows.last()
        found = Found(Links(start, rows.head(start)))
    cuts = [*range(start, last, _STRETCH), last]
    parts = [(path, frame, *cut) for cut in pairwise(cuts)]
    for (_, _, _, end), part in zip(parts, _read(parts), strict=True):
        found.add(part)
        progress(end - start, last - start)
    return found


_Part = tuple[Path, Frame, int, int]


def _read(parts: list[_Part]) -> Iterator[Found]:
    if len(parts) < 3:
        yield from map(_stretch, parts)
        return
    with ProcessPoolExecutor(min(len(parts), os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_stretch, parts)


def _stretch(part: _Part) -> Found:
    """The records behind one number up to another."""
    path, frame, after, until = part
    with closing(Rows(path)) as rows:
        scan = Scan(Found(Links(after, rows.head(after))), frame.slice, rows.of)
        for page in rows.after(after):
            scan.feed(row for row in page if row[0] <= until)
            if page[-1][0] >= until:
                break
    return scan.found
