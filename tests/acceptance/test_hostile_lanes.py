"""Lanes that lie or break, over real sockets: what they say of themselves is not believed, and others take over."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Answered, Bench, bench, run

from laneway.providers.scripted import Fault, Scripted

HARD = "Prove that the algorithm terminates, and explain the trade-offs step by step."
CANARY = "canary-prompt-text"
DONE = b"data: [DONE]\n\n"


def event(**choice: object) -> bytes:
    """One chunk with one choice."""
    return b"data: %b\n\n" % json.dumps({"choices": [choice]}).encode()


def whole(text: str = "from afar", finish: str | None = "stop", **more: str) -> bytes:
    """A whole answer; `more` are further members, as JSON text."""
    choice = {"message": {"content": text}, "finish_reason": finish}
    return f'{{"choices":[{json.dumps(choice)}]{"".join(f",{json.dumps(k)}:{v}" for k, v in more.items())}}}'.encode()


TEXT, STOP = event(delta={"content": "from afar"}), event(delta={}, finish_reason="stop")


async def ask_live(b: Bench, *raw: bytes, fault: Fault | None = None) -> Answered:
    """A stream that starts at premium, where nothing could change it, and falls back to home."""
    b.premium.answer, b.premium.fault = Scripted(raw=raw), fault
    return await b.ask(HARD, stream=True)


NOTHING_YET = {
    "a ping, and then silence": ((b": ping\n\n",), "stays-open", "late"),
    "a role, and then silence": ((event(delta={"role": "assistant", "content": ""}),), "stays-open", "late"),
    "a page of a proxy": ((b"<html>\n\n", b"<body>\n\n"), "stays-open", "garbage"),
    "pings alone": ((b": ping\n\n", b": ping\n\n"), None, "truncated"),
    "a role alone": ((event(delta={"role": "assistant", "content": ""}),), None, "truncated"),
    "the end alone": ((DONE, TEXT, STOP), None, "truncated"),
    "lines that end in CR": ((TEXT.replace(b"\n", b"\r"), STOP.replace(b"\n", b"\r")), "stays-open", "garbage"),
    "another choice": ((event(index=1, delta={"content": "hidden"}),), "stays-open", "garbage"),
    "a whole answer": ((whole(),), None, "truncated"),
}


@pytest.mark.parametrize("case", NOTHING_YET)
def test_another_lane_takes_over_until_something_was_told(tmp_path: Path, case: str) -> None:
    """A live stream that has told nothing yet can still fall back, and its bytes do not reach the client."""
    raw, fault, cause = NOTHING_YET[case]

    async def test() -> None:
        async with bench(tmp_path, first_byte="0.3s") as b:
            got = await ask_live(b, *raw, fault=fault)  # type: ignore[arg-type]
            assert (got.status, got.headers["laneway-lane"]) == (200, "home")
            assert not any(piece in got.body for piece in raw if piece != DONE)
            assert b.story().intents[1].entry.cause == cause

    run(test)


def test_what_came_before_the_first_words_comes_with_them(tmp_path: Path) -> None:
    """Pings and a role wait for the first words, and then pass untouched, byte for byte."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            raw = (b": ping\n\n", event(delta={"role": "assistant"}), TEXT, STOP, DONE)
            got = await ask_live(b, *raw)
            assert got.body == b"".join(raw)

    run(test)


@pytest.mark.parametrize("text", [HARD, "Hello there"], ids=["live", "held back"])
def test_a_lane_that_does_not_hang_up_after_its_end_is_not_late(tmp_path: Path, text: str) -> None:
    """At `[DONE]` the answer is whole, whatever comes after it; the client does not wait for more."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            for lane in (b.home, b.premium):
                lane.answer, lane.fault = Scripted(raw=(TEXT, STOP, DONE + b"<html>" + TEXT)), "stays-open"
            began = time.monotonic()
            got = await b.ask(text, stream=True)
            assert time.monotonic() - began < 1
            assert got.body == TEXT + STOP + DONE
            assert [a.result for a in b.story().outcome.entry.attempts] == ["answered"]  # type: ignore[union-attr]

    run(test)


def test_a_stream_that_ends_leaves_its_connection_to_the_next(tmp_path: Path) -> None:
    """Stopping at `[DONE]` does not cost a connection a stream."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            for _ in range(3):
                await b.ask(stream=True)
            assert (b.home.requests, b.home.connections) == (3, 1)

    run(test)


def test_a_whole_answer_without_a_reason_for_stopping_is_truncated(tmp_path: Path) -> None:
    """An answer whose lane does not say why it stopped is not taken for a complete one."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = Scripted(text="half an ans", finish=None)
            got = await b.ask()
            assert got.headers["laneway-lane"] == "premium"
            assert b.story().intents[1].entry.cause == "truncated"

    run(test)


ABSURD = ["-1000000000", "1" + "0" * 400, "9" * 5000, "18446744073709551615", "1.5", "null", '"many"', "true"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("count", ABSURD, ids=range(len(ABSURD)))
def test_an_absurd_count_changes_neither_answer_nor_cost(tmp_path: Path, count: str, stream: bool) -> None:
    """The answer passes untouched; tokens and money are our own estimate, the same as if nothing was said."""
    usage = f'{{"prompt_tokens":{count},"completion_tokens":{count}}}'

    async def test() -> None:
        async with bench(tmp_path) as b:
            parts = (TEXT, b'data: {"choices":[],"usage":%b}\n\n' % usage.encode(), STOP, DONE)
            made = parts if stream else (whole(usage=usage),)
            b.premium.answer = Scripted(raw=made)
            got = await b.ask(HARD, stream=stream, stream_options={"include_usage": True} if stream else None)
            assert (got.status, got.body, b.home.requests) == (200, b"".join(made), 0)
            story = b.story()
            (attempt,) = story.outcome.entry.attempts  # type: ignore[union-attr]
            tokens = (story.opening.signals.tokens, len("from afar") // 3)
            assert (attempt.tokens_in, attempt.tokens_out) == tokens
            assert attempt.cost == pytest.approx((3 * tokens[0] + 15 * tokens[1]) / 1_000_000)

    run(test)


def test_a_negative_count_does_not_lift_the_ceiling(tmp_path: Path) -> None:
    """What an escalation may cost is what the ceiling leaves, not what a weak lane pretends to have paid back."""
    usage = '{"prompt_tokens":-1000000000,"completion_tokens":-1000000000}'

    async def test() -> None:
        async with bench(tmp_path, home_price="{input: 1, output: 1}") as b:
            caps = []
            for said in ("null", usage):
                b.home.answer = Scripted(raw=(whole("", usage=said),))
                got = await b.ask("hi", {"Laneway-Ceiling": "0.01"})
                assert got.headers["laneway-lane"] == "premium"
                caps.append(b.premium.seen[-1].body["max_tokens"])
            assert caps[0] == caps[1] < 0.01 * 1_000_000 / 15  # type: ignore[operator]

    run(test)


def test_a_lane_cannot_put_the_prompt_on_record(tmp_path: Path) -> None:
    """Neither the model's name nor an error's words reach the log or the client, unless they are known ones."""
    error = json.dumps({"error": {"message": CANARY, "type": CANARY, "code": "811228-9874"}}).encode()

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = Scripted(text="yes", model=f"{CANARY} 811228-9874")
            await b.ask(CANARY)
            assert b.story().outcome.entry.attempts[0].model is None  # type: ignore[union-attr]
            b.home.answer, b.home.fault = Scripted(raw=(error,)), "400"
            refused: Any = (await b.ask(CANARY)).error
            assert (refused["code"], CANARY in refused["message"]) == ("lane_rejected_request", False)
            raw = b.log.read_bytes() + b.log.with_name("laneway.db-wal").read_bytes()
            assert CANARY.encode() not in raw
            assert b"811228-9874" not in raw

    run(test)


def test_an_outage_names_the_lanes_that_have_no_key(tmp_path: Path) -> None:
    """Who could have answered, and why not, stands in the error; where the lanes are does not."""
    why = "lane `premium` is closed: its environment variable PREMIUM_KEY is not set"

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.gateway.active = b.gateway.active._replace(closed={"premium": why})
            b.home.fault = "500"
            got = await b.ask()
            assert (got.status, got.error["code"]) == (503, "lanes_failed")
            assert f"tried home (server-error). Also, {why}." in got.error["message"]
            assert b"127.0.0.1" not in got.body

    run(test)


def test_the_reason_is_the_rule_that_led_to_the_answering_lane(tmp_path: Path) -> None:
    """A first try cites its route, also where an escalation failed; a fallback and an escalation cite theirs."""

    async def test() -> None:
        async with bench(tmp_path) as b:

            async def reason(text: str, **body: object) -> tuple[str, str]:
                got = await b.ask(text, **body)  # type: ignore[arg-type]
                return got.headers["laneway-lane"], got.headers["laneway-reason"].partition(":")[0]

            for stream in (False, True):
                b.home.answer, b.home.fault, b.premium.fault = "", None, None
                assert await reason("hi", stream=stream) == ("premium", "gate")
                b.premium.fault = "500"
                assert await reason("hi", stream=stream) == ("home", "routes[1]")
                assert await reason(HARD, stream=stream) == ("home", "fallbacks[0]")
                b.home.answer, b.home.fault, b.premium.fault = "from home", "500", None
                assert await reason("hi", stream=stream) == ("premium", "fallbacks[0]")

    run(test)
