"""One scripted lane as a process: `python -m laneway.providers.scripted`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

import msgspec
import uvloop

from laneway.providers.scripted import FAULTS, Scripted, ScriptedLane

__all__ = ["main"]


async def _run(lane: ScriptedLane) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with lane:
        sys.stdout.write(msgspec.json.encode({"url": lane.url}).decode() + "\n")
        sys.stdout.flush()
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one lane until it is told to stop; the first line of output tells its URL."""
    parser = argparse.ArgumentParser(prog="python -m laneway.providers.scripted", description=main.__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--model", default="scripted")
    parser.add_argument("--answer", default="This is a scripted answer of a few words.")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between a stream's events")
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("--seconds", type=float, default=0.05, help="for slow-first-byte, drip and endless-slow")
    options = parser.parse_args(arguments)
    answer = Scripted(text=options.answer, delay=options.delay)
    lane = ScriptedLane(model=options.model, answer=answer, port=options.port, capture=False)
    lane.fault, lane.seconds = options.fault, options.seconds
    uvloop.run(_run(lane))


if __name__ == "__main__":
    main()
