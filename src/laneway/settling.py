"""settling: what a thread that commits in batches needs: one process a file, and callers in event loops woken."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from pathlib import Path

__all__ = ["alone", "settle"]


@contextmanager
def alone(path: Path, in_use: Callable[[Path], Exception]) -> Iterator[None]:
    """Hold the file at `path` for this process; the kernel lets go when the process ends, however it ends.

    Raises what `in_use` makes of the lock's place where another process holds it.
    """
    lock = path.with_name(path.name + ".lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise in_use(lock) from None
        yield


def settle(futures: Sequence[asyncio.Future[None]], failure: Exception | None) -> None:
    """Wake every waiting caller, with one call into each event loop; each raises a copy of the `failure`, if any."""
    for loop in {future.get_loop() for future in futures}:
        with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_wake, [f for f in futures if f.get_loop() is loop], failure)


def _wake(futures: list[asyncio.Future[None]], failure: Exception | None) -> None:
    for future in futures:
        if future.done():  # its caller was cancelled
            continue
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(copy(failure))
