"""Slots of a lane: never more than its limits, first come first served, and none lost by whoever gives up."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.harness import run

from laneway.lane import Limits
from laneway.slots import Slots


def test_no_more_calls_at_once_than_allowed() -> None:
    """A third call waits for one of two slots, and gets it when one is given back."""

    async def test() -> None:
        slots = Slots(Limits(concurrency=2))
        assert await slots.take(0)
        assert await slots.take(0)
        third = asyncio.create_task(slots.take(5))
        await asyncio.sleep(0)
        assert (slots.held, slots.waiting) == (2, 1)
        slots.give()
        assert await third
        assert (slots.held, slots.waiting) == (2, 0)
        assert not await slots.take(0.01)

    run(test)


def test_who_will_not_wait_does_not_stand_in_line() -> None:
    """Without patience there is a slot at once or none, also where the minute would leave one."""

    async def test() -> None:
        for limits in (Limits(concurrency=1), Limits(rpm=1)):
            slots = Slots(limits)
            assert await slots.take(0)
            refused = slots.take(0)
            try:
                refused.send(None)  # it comes to its end without once waiting
            except StopIteration as ended:
                assert ended.value is False
            assert (slots.held, slots.waiting) == (1, 0)

    run(test)


def test_whoever_came_first_is_served_first() -> None:
    """Slots go to those who wait in the order in which they came, and nobody overtakes them."""

    async def test() -> None:
        slots, served = Slots(Limits(concurrency=1)), list[int]()

        async def call(number: int) -> None:
            assert await slots.take(30)
            served.append(number)
            await asyncio.sleep(0)
            slots.give()

        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(call(number))
        assert served == list(range(50))
        assert slots.held == 0

    run(test)


def test_no_more_calls_a_minute_than_allowed() -> None:
    """In no window of a minute begin more calls than `rpm`; those that cannot begin in time are told at once."""

    async def test() -> None:
        minute, times = 0.2, list[float]()
        loop = asyncio.get_running_loop()
        slots = Slots(Limits(rpm=3), clock=loop.time, minute=minute)

        async def call() -> None:
            assert await slots.take(5)
            times.append(loop.time())
            slots.give()

        await asyncio.gather(*(call() for _ in range(9)))
        assert all(later - earlier >= minute * 0.9 for earlier, later in zip(times, times[3:], strict=False))
        assert not await asyncio.wait_for(slots.take(0.01), 0.1)

    run(test)


def test_new_limits_hold_from_then_on() -> None:
    """A policy that allows more lets those in who wait."""

    async def test() -> None:
        slots = Slots(Limits(concurrency=1))
        assert await slots.take(0)
        waiting = asyncio.create_task(slots.take(5))
        await asyncio.sleep(0)
        slots.resize(Limits())
        assert await waiting
        assert slots.held == 2

    run(test)


STEPS = st.lists(
    st.tuples(st.sampled_from(["call", "cancel", "give", "tick", "short"]), st.integers(0, 9)), max_size=60
)


@settings(max_examples=150)
@given(steps=STEPS, limit=st.integers(1, 3))
def test_no_slot_is_lost_and_no_limit_broken(steps: list[tuple[str, int]], limit: int) -> None:
    """Whatever is cancelled, given up or given back in whatever order, the limit holds and no slot leaks."""

    async def test() -> None:
        slots, holding, waiting = Slots(Limits(concurrency=limit)), list[int](), list[asyncio.Task[None]]()

        async def call(patience: float) -> None:
            if await slots.take(patience):
                holding.append(1)

        for what, number in steps:
            if what in ("call", "short"):
                waiting.append(asyncio.create_task(call(60 if what == "call" else 0)))
            elif what == "cancel" and waiting:
                waiting[number % len(waiting)].cancel()
            elif what == "give" and holding:
                holding.pop()
                slots.give()
            else:
                await asyncio.sleep(0)
            assert slots.held <= limit
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert slots.held == len(holding) <= limit
        for _ in range(len(holding)):
            slots.give()
        assert (slots.held, slots.waiting) == (0, 0)
        assert [await slots.take(0) for _ in range(limit + 1)] == [True] * limit + [False]

    run(test)
