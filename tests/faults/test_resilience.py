"""Lanes that fail, over real sockets: who is left alone, for how long, and how much load a request may make."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest
from tests.harness import Bench, bench, policy_text, run

from laneway.breaker import TRIPS
from laneway.gateway import Active
from laneway.policy_file import parse
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import Fault, Scripted
from laneway.record import Attempt
from laneway.traffic import RETRY_SHARE

RESTRICTED = {"Laneway-Sensitivity": "restricted"}
FILTERED = b'{"error":{"message":"no","type":"invalid_request_error","code":"content_filter"}}'
LIMITED = "0, limits: {{{}}}"


async def until(what: str, true: object, seconds: float = 20.0) -> None:
    """Wait for a condition."""
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


def attempts(b: Bench, id: str = "last") -> list[Attempt]:
    """Of one request, in their order."""
    outcome = b.story(id).outcome
    assert outcome is not None
    return list(outcome.entry.attempts)


@pytest.mark.parametrize("fault", ["500", "garbage", "hang", "reset-before"])
def test_a_failing_lane_is_left_alone_after_five_failures(tmp_path: Path, fault: Fault) -> None:
    """From then on it gets neither a byte nor an intent, and the plan goes on as after a failure."""

    async def test() -> None:
        async with bench(tmp_path, first_byte="0.1s") as b:
            b.home.fault = fault
            for _ in range(TRIPS):
                assert (await b.ask(stream=True)).headers["laneway-lane"] == "premium"
            calls = b.home.requests
            got = await b.ask(stream=True)
            assert (got.status, got.headers["laneway-lane"], b.home.requests) == (200, "premium", calls)
            assert [(a.lane, a.result, a.skipped) for a in attempts(b)] == [
                ("home", "breaker-open", True), ("premium", "answered", False)
            ]  # fmt: skip
            assert [(i.entry.lane, i.entry.cause) for i in b.story().intents] == [("premium", "breaker-open")]
            assert b.verified()

    run(test)


def test_a_lane_that_recovers_is_used_again(tmp_path: Path) -> None:
    """After its pause one request finds out; until it has, no other goes there."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "500"
            for _ in range(TRIPS):
                await b.ask()
            b.home.fault, calls = None, b.home.requests
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            await until("the pause is over", lambda: flow.shut() is None)
            b.home.fault, b.home.seconds = "slow-first-byte", 0.5
            answers = await asyncio.gather(*(b.ask() for _ in range(6)))
            assert sorted(a.headers["laneway-lane"] for a in answers) == ["home"] + 5 * ["premium"]
            assert b.home.requests == calls + 1
            b.home.fault = None
            assert (await b.ask()).headers["laneway-lane"] == "home"

    run(test)


def test_where_every_lane_is_left_alone_the_client_is_told_when_to_come_back(tmp_path: Path) -> None:
    """The usual 503, at once, with Retry-After; not one byte goes past the wall."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "500"
            for _ in range(TRIPS):
                await b.ask("x", RESTRICTED)
            calls = b.home.requests
            got = await b.ask("x", RESTRICTED)
            assert (got.status, got.error["code"], got.headers["retry-after"]) == (503, "lanes_failed", "1")
            assert "not called: home (breaker-open)" in got.error["message"]
            assert (b.home.requests, b.premium.requests) == (calls, 0)

    run(test)


def test_a_probe_under_way_does_not_put_others_off_for_long(tmp_path: Path) -> None:
    """Who finds the lane being tried is told to come back in a second, and not when the probe would be given up."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "500"
            for _ in range(TRIPS):
                await b.ask()
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            await until("the pause is over", lambda: flow.shut() is None)
            b.home.fault = "hang"
            probe = asyncio.create_task(b.ask(stream=True))
            await until("the probe is under way", lambda: flow.slots.held == 1)
            got = await b.ask("x", RESTRICTED)
            assert (got.status, got.headers["retry-after"]) == (503, "1")
            probe.cancel()

    run(test)


def test_a_new_policy_does_not_forget_a_failing_lane(tmp_path: Path) -> None:
    """What is known of a lane stays, as long as its name, address and model do."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "500"
            for _ in range(TRIPS):
                await b.ask()
            calls = b.home.requests
            text = policy_text(b.home.url, b.premium.url, total="9s")
            for change, more in (("", 0), ("home-model", 1)):
                policy = parse(text.replace(change, "other-model") if change else text, "bench.yaml")
                provider = b.gateway.active.provider
                assert isinstance(provider, HttpProvider)
                b.gateway.log.archive(policy.hash, policy.text)
                b.gateway.active = Active(policy, provider.renewed(policy.lanes, {"PREMIUM_KEY": "k"}))
                assert (await b.ask()).headers["laneway-lane"] == "premium"
                assert b.home.requests == calls + more

    run(test)


def test_bad_requests_and_weak_answers_open_no_breaker(tmp_path: Path) -> None:
    """What the lane calls invalid, answers weakly or is asked by a client who leaves does not count against it."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            faults: tuple[Fault, ...] = ("400", "empty", "cut-off")
            for fault in faults:
                b.home.fault = fault
                for _ in range(TRIPS + 1):
                    await b.ask()
            b.home.fault = "hang"
            for _ in range(TRIPS + 1):
                b.home.arrived.clear()
                asking = asyncio.create_task(b.ask())
                await b.home.arrived.wait()
                asking.cancel()
            await until("all have left", lambda: flow.slots.held == 0)
            assert flow.breaker.failures == 0

    run(test)


def test_a_lane_that_asks_to_be_left_alone_is(tmp_path: Path) -> None:
    """Retry-After pauses the lane for all requests; a client for whom no other is left is told the time."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "429"
            assert (await b.ask()).headers["laneway-lane"] == "premium"
            b.home.fault = None
            assert (await b.ask()).headers["laneway-lane"] == "premium"
            assert [(a.result, a.skipped) for a in attempts(b)] == [("rate-limited", True), ("answered", False)]
            got = await b.ask("x", RESTRICTED)
            assert (got.status, got.headers["retry-after"], b.home.requests) == (503, "1", 1)
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            await until("the pause is over", lambda: flow.shut() is None)
            assert (await b.ask()).headers["laneway-lane"] == "home"
            assert flow.breaker.failures == 0

    run(test)


def test_a_full_lane_hands_on_to_the_next(tmp_path: Path) -> None:
    """A request waits a part of its time for a slot, and then the plan goes on, with the code `busy`."""

    async def test() -> None:
        async with bench(tmp_path, home_price=LIMITED.format("concurrency: 2"), total="4s", first_byte="4s") as b:
            b.home.fault, b.home.seconds = "slow-first-byte", 0.2
            waited = await asyncio.gather(*(b.ask() for _ in range(4)))
            assert {got.headers["laneway-lane"] for got in waited} == {"home"}
            b.home.fault = "hang"
            held = [asyncio.create_task(b.ask(stream=True)) for _ in range(2)]
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            await until("both slots are held", lambda: flow.slots.held == 2)
            refused, got = await asyncio.gather(b.ask("x", RESTRICTED), b.ask())
            assert got.headers["laneway-lane"] == "premium"
            found = attempts(b, got.headers["laneway-decision"])
            assert [(a.result, a.skipped) for a in found] == [("busy", True), ("answered", False)]
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            for asking in held:
                asking.cancel()
            await until("both slots are free", lambda: flow.slots.held == 0)

    run(test)


def test_a_lanes_calls_a_minute_are_limited(tmp_path: Path) -> None:
    """What would be the fourth call of a minute goes to the next lane without waiting."""

    async def test() -> None:
        async with bench(tmp_path, home_price=LIMITED.format("rpm: 3")) as b:
            used = [(await b.ask()).headers["laneway-lane"] for _ in range(5)]
            assert used == 3 * ["home"] + 2 * ["premium"]
            assert b.home.requests == 3

    run(test)


def test_a_half_failing_lane_is_hardly_asked_more_than_a_working_one(tmp_path: Path) -> None:
    """Over a load run a lane that fails every second call gets at most 1.2 calls a request."""
    chance, asked = random.Random(1), 400

    async def test() -> None:
        async with bench(tmp_path) as b:

            def answer(_: object) -> str:
                b.home.fault = chance.choice(("503", None))
                return "from home"

            async def client() -> int:
                got = [await b.ask("x", RESTRICTED) for _ in range(asked // 8)]
                return sum(g.status == 200 for g in got)

            b.home.answer = answer
            answered = sum(await asyncio.gather(*(client() for _ in range(8))))
            assert answered > 0
            assert b.home.requests <= 1.2 * asked
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            assert flow.retries > 0
            assert b.home.requests == flow.calls.total() <= (1 + RETRY_SHARE) * (asked + flow.retries) + 3

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_the_lane_within_100_ms(tmp_path: Path, stream: bool) -> None:
    """The lane's connection is cut as soon as the client's is, streamed or not."""

    async def test() -> None:
        async with bench(tmp_path, first_byte="9s") as b:
            b.home.fault = "hang"
            asking = asyncio.create_task(b.ask(stream=stream))
            await b.home.arrived.wait()
            asking.cancel()
            began = time.monotonic()
            await asyncio.wait_for(b.home.left.wait(), 5)
            assert time.monotonic() - began < 0.1
            await until("it is on record", lambda: b.story().outcome is not None)
            assert attempts(b)[0].result == "cancelled"

    run(test)


@pytest.mark.parametrize(
    ("fault", "raw"), [("400", FILTERED), (None, b"data: " + FILTERED + b"\n\n"), (None, FILTERED)]
)
def test_a_refusal_is_no_outage(tmp_path: Path, fault: Fault | None, raw: bytes) -> None:
    """What a model's filter refuses is neither retried nor sent to another lane, however the lane says so."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer, b.home.fault = Scripted(raw=(raw,)), fault
            got = await b.ask(stream=raw.startswith(b"data"))
            assert (got.status, got.error["code"], got.headers["x-should-retry"]) == (400, "lane_refused", "false")
            assert (b.home.requests, b.premium.requests) == (1, 0)
            assert [a.result for a in attempts(b)] == ["refused"]

    run(test)


def test_a_refusal_is_a_weak_answer_where_the_policy_says_so(tmp_path: Path) -> None:
    """With `refusal` among the gate's checks a stronger lane redoes it; where none can, the client gets the refusal."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            text = policy_text(b.home.url, b.premium.url).replace("tool-call]", "tool-call, refusal]")
            policy = parse(text, "bench.yaml")
            b.gateway.log.archive(policy.hash, policy.text)
            provider = b.gateway.active.provider
            assert isinstance(provider, HttpProvider)
            b.gateway.active = Active(policy, provider.renewed(policy.lanes, {"PREMIUM_KEY": "k"}))
            b.home.answer, b.home.fault = Scripted(raw=(FILTERED,)), "400"
            for stream in (False, True):
                got = await b.ask(stream=stream)
                assert (got.status, got.headers["laneway-lane"]) == (200, "premium")
                assert [(i.entry.lane, i.entry.why) for i in b.story().intents][1] == ("premium", "escalation")
                assert attempts(b)[0].verdict.failed == ("refusal",)  # type: ignore[union-attr]
            alone = await b.ask("x", RESTRICTED)
            assert (alone.status, alone.error["code"]) == (400, "lane_refused")

    run(test)
