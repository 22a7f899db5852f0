"""Long texts: read aside, so that nobody else waits, and kept at home where they cannot be read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.harness import Answered, bench, run

from laneway.server.api import MAX_BODY

NEAR = "811218-9877 "


async def _longest_gap(until: asyncio.Future[Answered]) -> float:
    """The longest time in which the loop that also serves could do nothing else."""
    longest, last = 0.0, time.perf_counter()
    while not until.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


@pytest.mark.parametrize("unit", [NEAR, "8\u200b1", "SA45 ", "%38"])
def test_a_text_made_to_be_costly_holds_nobody_up(tmp_path: Path, unit: str) -> None:
    """While the largest body that is taken is read, a short request is answered; then it is answered itself."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            text = NEAR + unit * ((MAX_BODY - 1000) // len(unit.encode()))
            long = asyncio.ensure_future(b.ask(text))
            gap = asyncio.ensure_future(_longest_gap(long))
            await asyncio.sleep(0.1)
            short = await b.ask("Hej")
            assert short.status == 200
            assert not long.done()
            assert (await long).status == 200
            assert await gap < 1

    run(test)


def test_a_long_text_that_cannot_be_read_stays_at_home(tmp_path: Path) -> None:
    """It is of the strictest class, and the record says why."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await b.ask(NEAR * 410_000, headers={"laneway-sensitivity": "public"})
            assert (got.status, got.headers["laneway-lane"]) == (200, "home")
            signals = b.story().opening.signals
            assert signals.sensitivity == "restricted"
            assert ("detector-failed", "request") in {(e.kind, e.place) for e in signals.evidence}
            assert b.premium.requests == 0

    run(test)


def test_a_long_ordinary_text_is_read_as_a_short_one_is(tmp_path: Path) -> None:
    """Its identifiers raise it, and without any it keeps its label."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            words = "The quick brown fox of 2024-01-15 paid 1,299.00. " * 20_000
            await b.ask(words, headers={"laneway-sensitivity": "public"})
            assert b.story().opening.signals.sensitivity == "public"
            await b.ask(f"{words} 811218-9876 {words}", headers={"laneway-sensitivity": "public"})
            assert b.story().opening.signals.sensitivity == "restricted"

    run(test)


@pytest.mark.parametrize(("model", "more"), [("lane/premium", ""), ("auto", "\n  judge: safest")])
def test_reading_once_more_before_a_call_holds_nobody_up(tmp_path: Path, model: str, more: str) -> None:
    """What the guard and a judge's question cost is paid aside too, where the text may leave."""

    async def test() -> None:
        async with bench(tmp_path, total="60s", more_gate=more) as b:
            text, headers = NEAR * 320_000, {"laneway-sensitivity": "public"}
            long = asyncio.ensure_future(b.ask(text, headers, model=model))
            gap = await _longest_gap(long)
            assert (await long).status == 200
            assert b.premium.requests > 0
            assert gap < 1

    run(test)
