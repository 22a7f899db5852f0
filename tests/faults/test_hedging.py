"""Hedging over real sockets: a second lane beside a slow first one, never past the wall, the budget or the money."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.faults.test_resilience import RESTRICTED, attempts, until
from tests.harness import Answered, Bench, Forgetful, bench, policy_text, run

from laneway import gateway, serve
from laneway.decide import decide
from laneway.gateway import Active
from laneway.policy_file import parse
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import Fault, Scripted
from laneway.record import Entry, Intent
from laneway.server.status import lanes, metrics
from laneway.traffic import RETRY_SHARE

HARD = "Prove that the algorithm terminates, and explain the trade-offs step by step."
HEDGED = "10s, hedge: 0.1s"
BOTH = pytest.mark.parametrize("stream", [False, True])
WORST = 1e-6 * (3 * 10 + 15 * 1024)  # what a call of premium costs at most, at about ten tokens in


def hops(b: Bench) -> list[tuple[str, str, str]]:
    """(lane, why, result) of the newest request's attempts."""
    return [(a.lane, a.why, a.result) for a in attempts(b)]


def lane_of(got: Answered) -> str:
    """Who answered, where somebody did."""
    assert got.status == 200, got.body
    assert got.headers["laneway-lane"].encode() in got.body.replace(b"from ", b"")
    return got.headers["laneway-lane"]


@BOTH
def test_a_slow_first_lane_is_hedged_and_cut_off(tmp_path: Path, stream: bool) -> None:
    """The second lane answers in its place; the first is hung up on, counted at its worst, and all is on record."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED, home_price="1") as b:
            b.home.fault = "hang"
            began = time.monotonic()
            got = await b.ask(stream=stream)
            assert time.monotonic() - began < 3
            assert lane_of(got) == "premium"
            assert got.headers["laneway-reason"].startswith("deadlines.interactive: if home has not begun to answer")
            await asyncio.wait_for(b.home.left.wait(), 5)
            assert hops(b) == [("home", "first", "cancelled"), ("premium", "hedge", "answered")]
            assert [(i.entry.lane, i.entry.why, i.entry.attempt) for i in b.story().intents] == [
                ("home", "first", 1), ("premium", "hedge", 2)
            ]  # fmt: skip
            home, premium = attempts(b)
            outcome = b.story().outcome
            assert outcome is not None
            assert home.cost == pytest.approx(1e-6 * (1024 + 20), rel=0.02)
            assert outcome.entry.cost == pytest.approx((home.cost or 0) + (premium.cost or 0))
            assert premium.verdict is not None
            assert home.verdict is None
            assert b.verified()

    run(test)


@BOTH
def test_a_first_lane_that_answers_after_all_wins(tmp_path: Path, stream: bool) -> None:
    """Nothing of the hedge reaches the client; it is on record as cut off, with what it may have cost."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            b.home.fault, b.home.seconds = "slow-first-byte", 0.6
            b.premium.fault = "hang"
            got = await b.ask(stream=stream)
            assert lane_of(got) == "home"
            assert b"premium" not in got.body
            assert "routes[1]" in got.headers["laneway-reason"]
            await asyncio.wait_for(b.premium.left.wait(), 5)
            assert hops(b) == [("home", "first", "answered"), ("premium", "hedge", "cancelled")]
            home, premium = attempts(b)
            assert home.verdict is not None
            assert premium.cost == pytest.approx(WORST, rel=0.01)
            flows = [b.gateway.traffic.of(lane) for lane in b.gateway.active.policy.lanes.values()]
            assert [flow.slots.held for flow in flows] == [0, 0]
            assert [flow.hedges for flow in flows] == [1, 0]
            assert [told["hedges"] for told in lanes(b.gateway)] == [1, 0]
            text = metrics(b.gateway, in_flight=0, shed=0, log_ok=True)
            assert 'laneway_lane_hedges_total{lane="home"} 1\n' in text
            assert [flow.breaker.failures for flow in flows] == [0, 0]

    run(test)


def test_a_live_stream_that_begins_after_its_hedge_is_passed_on_as_it_comes(tmp_path: Path) -> None:
    """The strongest lane streams live; once it speaks, the lane beside it is cut off while the answer still runs."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            b.premium.answer = Scripted(text="from premium " + "and on " * 20, delay=0.05)
            b.premium.wait, b.home.fault = 0.4, "hang"
            asking = asyncio.create_task(b.ask(HARD, stream=True))
            await asyncio.wait_for(b.home.left.wait(), 5)
            assert not asking.done()
            assert lane_of(await asking) == "premium"
            assert hops(b) == [("premium", "first", "answered"), ("home", "hedge", "cancelled")]

    run(test)


@BOTH
def test_a_lane_that_begins_in_time_is_not_hedged(tmp_path: Path, stream: bool) -> None:
    """Whoever has begun to answer is left to it, however long the rest takes."""

    async def test() -> None:
        async with bench(tmp_path, total="10s, hedge: 0.5s") as b:
            b.home.answer = Scripted(text="from home and on", delay=0.2)
            b.home.fault, b.home.seconds = None if stream else "drip", 0.01
            assert lane_of(await b.ask(stream=stream)) == "home"
            assert (hops(b), b.premium.requests) == ([("home", "first", "answered")], 0)

    run(test)


@BOTH
@pytest.mark.parametrize("fault", ["hang", "slow-first-byte"])
def test_where_both_are_slow_the_plan_goes_on_after_both(tmp_path: Path, stream: bool, fault: Fault) -> None:
    """Both run into their deadlines side by side, and no lane but those of the plan is asked."""

    async def test() -> None:
        async with bench(tmp_path, first_byte="0.5s", total="1s, hedge: 0.1s") as b:
            b.home.fault = b.premium.fault = fault
            b.home.seconds = b.premium.seconds = 5
            began = time.monotonic()
            got = await b.ask(stream=stream)
            assert (got.status, got.error["code"]) == (504, "lanes_failed")
            assert time.monotonic() - began < 4  # the lanes hang for five
            assert hops(b) == [("home", "first", "late"), ("premium", "hedge", "late")]

    run(test)


@BOTH
@pytest.mark.parametrize("fault", ["500", "400", "reset-before", "truncated"])
def test_a_hedge_that_fails_leaves_the_first_its_time(tmp_path: Path, stream: bool, fault: Fault) -> None:
    """Whatever the second lane says, be it that the request is invalid, the first may still answer."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            b.home.wait, b.premium.fault = 0.4, fault
            got = await b.ask(stream=stream)
            if fault == "truncated" and stream:  # it had begun to answer, so that the first was cut off
                assert hops(b) == [("home", "first", "cancelled"), ("premium", "hedge", "truncated")]
                return
            assert lane_of(got) == "home"
            assert hops(b)[0] == ("home", "first", "answered")
            assert hops(b)[1][:2] == ("premium", "hedge")
            assert hops(b)[1][2] != "cancelled"

    run(test)


@BOTH
@pytest.mark.parametrize(("raw", "code"), [(b"no", "lane_rejected_request"),
                                           (b'{"error":{"code":"content_filter"}}', "lane_refused")])  # fmt: skip
def test_what_the_first_declines_ends_both(tmp_path: Path, stream: bool, raw: bytes, code: str) -> None:
    """A refusal or an invalid request is an answer: the hedge is cut off, and nobody else is asked."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            b.home.answer, b.home.fault, b.home.wait = Scripted(raw=(raw,)), "400", 0.5
            b.premium.fault = "hang"
            got = await b.ask(stream=stream)
            assert (got.status, got.error["code"]) == (400, code)
            await asyncio.wait_for(b.premium.left.wait(), 5)
            assert [(lane, why) for lane, why, _ in hops(b)] == [("home", "first"), ("premium", "hedge")]
            assert hops(b)[1][2] == "cancelled"

    run(test)


def test_a_held_first_that_breaks_off_leaves_the_hedged_lane_to_the_plan(tmp_path: Path) -> None:
    """The hedge was cut off when the first began to speak; as that failed, its lane is asked as a fallback."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            b.home.fault, b.home.wait, b.premium.fault = "truncated", 0.5, "hang"
            asking = asyncio.create_task(b.ask(stream=True))
            await b.premium.arrived.wait()
            b.premium.fault = None
            assert lane_of(await asking) == "premium"
            assert hops(b) == [("home", "first", "truncated"), ("premium", "hedge", "cancelled"),
                               ("premium", "fallback", "answered")]  # fmt: skip

    run(test)


def test_a_weak_first_answer_may_go_to_the_lane_that_was_cut_off(tmp_path: Path) -> None:
    """Being cut off is no failure, so that an escalation may still end there."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            b.premium.fault = "hang"
            b.home.fault, b.home.wait = "empty", 0.5
            asking = asyncio.create_task(b.ask())
            await b.premium.arrived.wait()
            b.premium.fault = None
            assert lane_of(await asking) == "premium"
            assert [why for _, why, _ in hops(b)] == ["first", "hedge", "escalation"]
            home = attempts(b)[0]
            assert home.verdict is not None
            assert home.verdict.failed == ("empty",)

    run(test)


@BOTH
def test_a_first_that_answers_while_the_hedge_is_put_on_record_wins(
    tmp_path: Path, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intent stands, the call is not made, and nothing of it is left behind."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            append, b.home.wait = b.gateway.log.append, 0.3

            async def slowly(*entries: Entry, **more: Any) -> None:
                if any(isinstance(entry, Intent) and entry.why == "hedge" for entry in entries):
                    await asyncio.sleep(0.6)
                await append(*entries, **more)

            monkeypatch.setattr(b.gateway.log, "append", slowly)
            assert lane_of(await b.ask(stream=stream)) == "home"
            assert hops(b) == [("home", "first", "answered"), ("premium", "hedge", "cancelled")]
            assert len(b.story().intents) == 2
            assert b.premium.requests == 0
            assert b.gateway.traffic.of(b.gateway.active.policy.lanes["premium"]).slots.held == 0

    run(test)


@BOTH
def test_a_client_that_leaves_frees_both_within_100_ms(tmp_path: Path, stream: bool) -> None:
    """Both connections are cut as soon as the client's is."""

    async def test() -> None:
        async with bench(tmp_path, first_byte="9s", total=HEDGED) as b:
            b.home.fault = b.premium.fault = "hang"
            asking = asyncio.create_task(b.ask(stream=stream))
            await b.premium.arrived.wait()
            asking.cancel()
            began = time.monotonic()
            await asyncio.wait_for(asyncio.gather(b.home.left.wait(), b.premium.left.wait()), 5)
            assert time.monotonic() - began < 0.1
            await until("it is on record", lambda: b.story().outcome is not None)
            assert [result for *_, result in hops(b)] == ["cancelled", "cancelled"]

    run(test)


@BOTH
def test_what_is_restricted_is_never_hedged_outside(tmp_path: Path, stream: bool) -> None:
    """However slow home is, the lane behind the wall sees not a byte."""

    async def test() -> None:
        async with bench(tmp_path, first_byte="0.5s", total="1s, hedge: 0.1s") as b:
            b.home.fault = "hang"
            for headers in (RESTRICTED, {"Laneway-Workload": "contracts"}):
                got = await b.ask("x", headers, stream=stream)
                assert (got.status, b.premium.requests, b.premium.seen) == (504, 0, [])
            assert {a.why for a in attempts(b)} <= {"first", "retry"}

    run(test)


def test_a_hedge_past_the_plan_is_stopped_by_the_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a loop that hedges with any lane there is, the guard stops the request; without the guard the leak shows."""
    whole = serve.serve
    monkeypatch.setattr(gateway, "serve", lambda r, lanes, *rest: whole(r, [*lanes, "premium"], *rest))

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            monkeypatch.setattr(gateway, "decide", lambda *given: msgspec.structs.replace(decide(*given), hedge=0.1))
            b.home.fault = "hang"
            got = await b.ask("x", RESTRICTED)
            assert (got.status, got.error["code"], b.premium.requests) == (500, "guard_stopped", 0)
            monkeypatch.setattr(serve, "guard", lambda *_: None)
            assert lane_of(await b.ask("x", RESTRICTED)) == "premium"
            assert b.premium.requests == 1

    run(test)


def test_hedges_come_out_of_the_budget_of_retries(tmp_path: Path) -> None:
    """A slow lane makes at most a tenth more calls, and a few to begin with; then it is waited for."""
    asked = 60

    async def test() -> None:
        async with bench(tmp_path, total="10s, hedge: 0.02s") as b:
            b.home.fault, b.home.seconds = "slow-first-byte", 0.1

            async def client() -> None:
                for _ in range(asked // 6):
                    assert (await b.ask()).status == 200

            began = time.monotonic()
            await asyncio.gather(*(client() for _ in range(6)))
            trickle = 0.1 * (time.monotonic() - began)
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            assert 0 < b.premium.requests <= flow.hedges <= RETRY_SHARE * asked + 3 + trickle
            assert b.home.requests + b.premium.requests <= 1.2 * asked + trickle
            assert ("premium", "hedge", "hedge-budget") in hops(b)
            assert [a.skipped for a in attempts(b)] == [False, True]
            assert flow.may_retry() is False

    run(test)


@BOTH
def test_no_lane_is_called_three_times_for_an_answer(tmp_path: Path, stream: bool) -> None:
    """However both fail: hedge, fallback, retry and escalation together call a lane twice at the most."""
    faults: tuple[Fault, ...] = ("500", "slow-first-byte", "cut-off", "truncated", "empty")

    async def test() -> None:
        async with bench(tmp_path, total="5s, hedge: 0.02s") as b:
            b.gateway.traffic = Forgetful()
            called = set[int]()
            for text, b.home.fault, b.premium.fault in product((None, HARD), faults, faults):
                await b.ask(text, stream=stream)
                counts = Counter(intent.entry.lane for intent in b.story().intents)
                assert max(counts.values()) <= 2, (b.home.fault, b.premium.fault, counts)
                called |= {*counts.values()}
            assert called == {1, 2}

    run(test)


def test_a_busy_or_broken_second_lane_is_not_waited_for(tmp_path: Path) -> None:
    """No slot or an open breaker: no hedge, no budget used, and the first has its time."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED) as b:
            text = policy_text(b.home.url, b.premium.url, total=HEDGED)
            policy = parse(text.replace("price: {input: 3.00", "limits: {concurrency: 1}\n    price: {input: 3.00"))
            provider = b.gateway.active.provider
            assert isinstance(provider, HttpProvider)
            b.gateway.log.archive(policy.hash, policy.text)
            b.gateway.active = Active(policy, provider.renewed(policy.lanes, {"PREMIUM_KEY": "k"}))
            await b.gateway.traffic.of(policy.lanes["premium"]).enter(0)  # the one slot there is
            b.home.fault, b.home.seconds = "slow-first-byte", 0.3
            assert lane_of(await b.ask()) == "home"
            assert hops(b) == [("home", "first", "answered"), ("premium", "hedge", "busy")]
            assert b.gateway.traffic.of(policy.lanes["home"]).hedges == 0
            assert b.gateway.traffic.of(policy.lanes["home"]).may_retry()

    run(test)


@pytest.mark.parametrize(("ceiling", "hedged"), [("0.002", False), ("0.0155", False), ("0.02", True)])
def test_both_worst_cases_fit_the_ceiling_or_there_is_no_hedge(tmp_path: Path, ceiling: str, hedged: bool) -> None:
    """What the first may cost is set aside before the second is asked."""

    async def test() -> None:
        async with bench(tmp_path, total=HEDGED, home_price="{input: 2, output: 15}") as b:
            b.home.fault, b.home.seconds = "slow-first-byte", 0.4
            got = await b.ask(None, {"Laneway-Ceiling": ceiling}, max_tokens=1000)
            assert lane_of(got) == ("premium" if hedged else "home")
            story = b.story()
            assert story.outcome is not None
            assert (story.outcome.entry.cost or 0) <= float(ceiling)
            assert hops(b)[1] == ("premium", "hedge", "answered" if hedged else "ceiling")

    run(test)
