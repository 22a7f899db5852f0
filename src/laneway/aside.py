"""aside: reading texts that take longer than others should wait, in one thread beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

__all__ = ["aside"]

_LONG = 32_768
"""The size of a text, in bytes or characters, above which the worst one takes too long."""

# One thread: more of them would only take turns from the one that serves everybody else.
_reader = ThreadPoolExecutor(1, "laneway-reader")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def aside(size: int, work: Callable[[*Ts], T], *args: *Ts) -> T:
    """What `work` makes of a text of this `size`: here and now where it is short, else aside."""
    if size <= _LONG:
        return work(*args)
    return await asyncio.get_running_loop().run_in_executor(_reader, work, *args)
