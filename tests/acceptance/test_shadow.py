"""A shadow is one more hop that nobody sees: behind the wall, on record, paid for, and never in a request's way."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from click.testing import CliRunner
from tests.harness import TOMORROW, Bench, bench, policy_text, run
from tests.processes import served

from laneway.cli import main
from laneway.errors import LogError
from laneway.evidence.judging.asking import PREFERRING
from laneway.providers.scripted import Scripted, ScriptedLane
from laneway.record import Compared
from laneway.shadow import MOST
from laneway.store import Log, Reader

MARK = PREFERRING[:40]
RESTRICTED = {"laneway-sensitivity": "restricted"}


def rule(lanes: str = "premium", share: str = "1", more: str = "budget: 5") -> dict[str, str]:
    """The bench's policy with a shadow; `premium` is open by a waiver that names home alone."""
    end = "" if more == "" else f", {more}"
    text = f"\nshadow:\n  - {{says: Is it as good?, lanes: [{lanes}], share: {share}, until: {TOMORROW}{end}}}"
    return {"more_shadow": text}


@asynccontextmanager
async def shadowed(directory: Path, **changes: str) -> AsyncIterator[Bench]:
    """The bench under a policy with a shadow in it."""
    directory.mkdir(exist_ok=True)
    third = changes.pop("third", "")
    if third:
        kind, model = changes.pop("third_kind", "local"), changes.pop("third_model", "arbiter")
        changes["third_name"] = "arbiter, "
        changes["third_lane"] = (
            f'\n  arbiter: {{kind: {kind}, provider: openai, url: "{third}", model: {model}, '
            f"address: private-allowed, price: 1{changes.pop('third_more', '')}}}"
        )
    async with bench(directory, tail=changes.pop("more_shadow", ""), **changes) as b:
        try:
            yield b
        finally:
            await b.gateway.shadows.ended(5)


async def compared(b: Bench, count: int = 1) -> list[Compared]:
    """The comparisons on record, once there are so many."""
    until = time.monotonic() + 20
    while True:
        with closing(Reader.open(b.log)) as reader:
            found = [each.entry for each in reader.compared()]
        if len(found) >= count:
            return found
        assert time.monotonic() < until, f"{found} and no more"
        await asyncio.sleep(0.02)


async def settled(b: Bench) -> None:
    """Wait until nothing is under way unseen."""
    await until(lambda: not b.gateway.shadows.under_way)


async def until(condition: Callable[[], object]) -> None:
    """Wait for it."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def ended(server: subprocess.Popen[str], by: signal.Signals) -> int:
    """The exit code of a server that is ended like this."""
    with server:
        server.send_signal(by)
        return server.wait()


def judging(verdicts: dict[str, str], answer: str) -> Callable[[dict[str, object]], str | Scripted]:
    """A lane that answers `answer`, and as a judge says what `verdicts` have for the answer that stands first."""

    def say(body: dict[str, object]) -> str:
        asked = str(body["messages"])
        if MARK not in asked:
            return answer
        material = msgspec.json.decode(body["messages"][1]["content"])  # type: ignore[index]
        return verdicts.get(material["first"], verdicts.get("*", "TIE"))

    return say


@pytest.mark.parametrize("stream", [False, True])
def test_the_client_gets_its_answer_and_sees_nothing(tmp_path: Path, stream: bool) -> None:
    """Body and headers are those of a server without shadows; the comparison is on record behind the outcome."""

    async def check() -> None:
        plain: list[Any] = []
        for name, changes in (("without", {}), ("with", rule())):
            async with shadowed(tmp_path / name, **changes) as b:
                got = await b.ask(stream=stream)
                kept = {k for k in got.headers if k not in ("content-length", "date")}
                plain.append((got.status, kept, b"home" in got.body, b"premium" in got.body))
                if changes:
                    (made,) = await compared(b)
        assert plain[0] == plain[1]
        assert (made.lane, made.incumbent, made.rule, made.result) == ("premium", "home", "shadow[0]", "unjudged")
        assert made.code == "no-judge"
        assert made.cost > 0
        assert made.model == "premium-model"

    run(check)


def test_what_was_called_unseen_is_part_of_the_story(tmp_path: Path) -> None:
    """An intent of its own before the call, behind the outcome; those before it, and the chain, stay what they were."""

    async def check() -> None:
        async with shadowed(tmp_path, **rule()) as b:
            await b.ask()
            (made,) = await compared(b)
            story = b.story()
            assert [i.entry.why for i in story.intents] == ["first"]
            (unseen,) = story.unseen
            assert (unseen.entry.why, unseen.entry.lane, unseen.entry.attempt) == ("shadow", "premium", 2)
            assert story.outcome is not None
            assert story.outcome.at < unseen.at
            assert [c.entry for c in story.compared] == [made]
            assert b.verified()

    run(check)


def test_restricted_requests_never_reach_an_external_candidate(tmp_path: Path) -> None:
    """The rule is for every request; the wall leaves the lane to none that is restricted: not a byte goes there."""

    async def check() -> None:
        async with shadowed(tmp_path, **rule()) as b:
            for headers, text in ((RESTRICTED, "secret"), ({}, "Her number is 19811218-9876.")):
                got = await b.ask(text, headers)
                assert got.status == 200
            await b.ask("Hello")
            await compared(b)
            assert [b"Hello" in seen.raw for seen in b.premium.seen] == [True]

    run(check)


def test_a_candidate_that_hangs_delays_nobody_and_ends_at_the_drain(tmp_path: Path) -> None:
    """The client has its answer at once; the drain cuts the call short, which is on record as nobody's fault."""

    async def check() -> None:
        async with shadowed(tmp_path, total="170s", **rule()) as b:
            b.premium.fault = "hang"
            started = time.monotonic()
            assert (await b.ask()).status == 200
            assert (await b.ask(stream=True)).status == 200
            assert time.monotonic() - started < 20
            await until(lambda: len(b.premium.seen) == 2)
            await b.gateway.shadows.ended(20)
            made = await compared(b, 2)
            assert {(c.result, c.code) for c in made} == {("failed", "interrupted")}
            assert (await b.ask()).status == 200
            assert len(b.premium.seen) == 2  # nothing is begun any more

    run(check)


def test_a_failing_candidate_teaches_the_lane_nothing(tmp_path: Path) -> None:
    """Ten failures in the dark open no breaker, and count as answers that were not given."""

    async def check() -> None:
        async with shadowed(tmp_path, **rule()) as b:
            b.premium.fault = "500"
            for n in range(10):
                await b.ask()
                await compared(b, n + 1)
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["premium"])
            assert flow.shut() is None
            assert not flow.calls
            b.premium.fault = None
            assert (await b.ask(model="lane/premium")).status == 200

    run(check)


def test_a_slot_is_given_up_to_a_request_at_once(tmp_path: Path) -> None:
    """The lane has one slot, which a shadow holds: a request takes it, and the shadow ends."""

    async def check() -> None:
        async with shadowed(tmp_path, premium_more="\n    limits: {concurrency: 1}", total="170s", **rule()) as b:
            b.premium.fault = "hang"
            await b.ask()
            await until(lambda: b.premium.seen)
            b.premium.fault = None
            for got in await asyncio.gather(*(b.ask(model="lane/premium") for _ in range(4))):
                assert (got.status, got.headers["laneway-lane"]) == (200, "premium")
            (made,) = await compared(b)
            assert (made.result, made.code) == ("failed", "interrupted")

    run(check)


def test_the_budget_is_counted_before_the_call_and_after_a_restart(tmp_path: Path) -> None:
    """No call is made whose worst case is not left of the day's money; the log says what was spent before."""

    async def check() -> None:
        worst = 0.02  # 1024 tokens out and some in
        async with shadowed(tmp_path, **rule(more=f"budget: {worst}")) as b:
            await b.ask()
            (made,) = await compared(b)
            assert 0 < made.cost < worst
            for _ in range(5):
                await b.ask(max_tokens=1000)
            spent = b.gateway.shadows.spent["shadow[0]"]
            assert spent <= worst
        log = await asyncio.to_thread(Log.open, tmp_path / "laneway.db")
        try:
            shadows = type(b.gateway.shadows)(log)
            shadows.recall()
            assert shadows.spent["shadow[0]"] == pytest.approx(b.gateway.shadows.spent["shadow[0]"])
        finally:
            log.close()
        async with shadowed(tmp_path / "two", **rule(more="budget: 0.001")) as b:
            await b.ask()
            await settled(b)
            assert b.premium.seen == []

    run(check)


def test_equal_answers_are_a_tie_and_tool_calls_are_compared_as_json(tmp_path: Path) -> None:
    """Nothing is executed, and no judge is asked where names and arguments are the same."""

    def calls(arguments: str) -> Scripted:
        function = {"name": "look_up", "arguments": arguments}
        return Scripted(finish="tool_calls", tool_calls=({"id": "c1", "type": "function", "function": function},))

    async def check() -> None:
        tools = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
        async with shadowed(tmp_path, **rule()) as b:
            pairs: list[tuple[str | Scripted, str | Scripted, str]] = [
                (calls('{"a": 1, "b": 2}'), calls('{"b":2,"a":1}'), "tie"),
                (calls('{"a": 1}'), calls('{"a": 2}'), "unjudged"),
                (calls('{"a": 1}'), calls("{a"), "failed"),
                ("the same", " the  same\n", "tie"),
            ]
            for n, (mine, theirs, result) in enumerate(pairs):
                b.home.answer, b.premium.answer = mine, theirs
                await b.ask(tools=tools, stream=bool(n % 2))
                made = (await compared(b, n + 1))[-1]
                assert made.result == result
                assert made.failed == (("tool-call",) if result == "failed" else ())

    run(check)


@pytest.mark.parametrize(
    ("verdicts", "result"),
    [
        ({"from premium": "FIRST", "from home": "SECOND"}, "better"),
        ({"from premium": "SECOND", "from home": "FIRST"}, "worse"),
        ({"*": "TIE"}, "tie"),
        ({"*": "FIRST"}, "position"),
        ({"*": "Both are fine."}, "unjudged"),
    ],
)
def test_a_blind_judge_compares_in_both_orders(tmp_path: Path, verdicts: dict[str, str], result: str) -> None:
    """Only what survives the swap counts; the judge sees two answers and no lane's name."""

    async def check() -> None:
        async with (
            ScriptedLane(model="arbiter", answer=judging(verdicts, "from arbiter")) as arbiter,
            shadowed(tmp_path, third=arbiter.url, **rule(more="budget: 5, judge: [arbiter]")) as b,
        ):
            await b.ask()
            (made,) = await compared(b)
            assert (made.result, made.judge) == (result, "arbiter")
            assert made.code == ("unclear" if result == "unjudged" else "")
            assert len(arbiter.seen) == 2
            assert all(b"premium" not in seen.raw.replace(b"from premium", b"") for seen in arbiter.seen)
            assert [i.entry.why for i in b.story().unseen] == ["shadow", "judge", "judge"]

    run(check)


def test_an_unseen_answer_is_held_to_the_output_of_its_workload(tmp_path: Path) -> None:
    """As the one that the client got: what breaks the contract has failed, however good it may read."""

    async def check() -> None:
        work = "\n  letters: {sensitivity: internal, output: {most_chars: 9}}"
        async with shadowed(tmp_path, more_work=work, **rule()) as b:
            b.home.answer = "short"
            assert (await b.ask(model="letters")).status == 200
            (made,) = await compared(b)
            assert (made.result, made.failed) == ("failed", ("contract",))

    run(check)


def test_a_judge_of_either_lanes_family_is_not_asked(tmp_path: Path) -> None:
    """A judge prefers answers that read like its own."""

    async def check() -> None:
        async with (
            ScriptedLane(model="premium-large", answer=judging({"*": "TIE"}, "hm")) as arbiter,
            shadowed(tmp_path, third=arbiter.url, third_model="premium-large",
                     **rule(more="budget: 5, judge: [arbiter]")) as b,
        ):  # fmt: skip
            await b.ask()
            (made,) = await compared(b)
            assert (made.result, made.judge, made.code) == ("unjudged", "", "author")
            told = CliRunner().invoke(main, ["shadow", "--log", str(b.log)]).output
            assert "unjudged 1: each judge is one of the two lanes, or of the family of one" in told
            why = " ".join(CliRunner().invoke(main, ["why", made.id, "--log", str(b.log)]).output.split())
            assert "unjudged (each judge is one of the two lanes, or of the family of one) against home" in why
            assert arbiter.seen == []

    run(check)


def test_an_answer_that_raises_the_class_goes_to_no_judge_outside(tmp_path: Path) -> None:
    """The question may leave; the answer holds a personal number and may not."""

    async def check() -> None:
        async with (
            ScriptedLane(model="arbiter", answer=judging({"*": "TIE"}, "hm")) as arbiter,
            shadowed(tmp_path, third=arbiter.url, third_kind="premium",
                     **rule(more="budget: 5, judge: [arbiter]")) as b,
        ):  # fmt: skip
            b.premium.answer = "Her number is 19811218-9876."
            await b.ask()
            (made,) = await compared(b)
            assert (made.result, made.judge, made.code) == ("unjudged", "", "wall")
            assert arbiter.seen == []

    run(check)


def test_pins_held_requests_and_those_outside_the_share_are_not_shadowed(tmp_path: Path) -> None:
    """A pin names who answers; what is held was answered by nobody."""

    async def check() -> None:
        async with shadowed(tmp_path, **rule()) as b:
            assert (await b.ask(model="lane/home")).status == 200
            assert (await b.ask(headers={"laneway-workload": "flags"})).status == 403
            b.home.answer, b.premium.answer = "", ""
            await b.gateway.shadows.ended(5)
            assert b.premium.seen == []

    run(check)


def test_the_share_is_of_requests_by_their_id(tmp_path: Path) -> None:
    """Of 200 equal requests about half are compared at a share of one half: chance, and not their text, decides."""

    async def check() -> None:
        async with shadowed(tmp_path, **rule(share="0.5")) as b:
            for _ in range(200):
                await b.ask()
                await settled(b)
            assert 60 < len(b.premium.seen) < 140  # 8 standard deviations

    run(check)


def test_no_content_of_an_unseen_answer_is_kept(tmp_path: Path) -> None:
    """Neither the answer nor the judge's reasons are anywhere in the log's files."""

    async def check() -> None:
        async with (
            ScriptedLane(model="arbiter", answer=judging({"*": "CANARY-REASON\nTIE"}, "hm")) as arbiter,
            shadowed(tmp_path, third=arbiter.url, **rule(more="budget: 5, judge: [arbiter]")) as b,
        ):
            b.premium.answer = "CANARY-ANSWER"
            await b.ask("CANARY-QUESTION")
            await compared(b)
            assert len(arbiter.seen) == 2
        kept = b"".join(path.read_bytes() for path in tmp_path.glob("laneway.db*"))
        assert b"CANARY" not in kept

    run(check)


def test_a_log_that_cannot_be_written_stops_the_shadow_and_no_request(tmp_path: Path) -> None:
    """Without an intent on record nothing is sent, and nobody hears of it."""

    async def check() -> None:
        async with shadowed(tmp_path, **rule()) as b:
            whole = b.gateway.log.append

            async def broken(*entries: Any) -> None:
                if getattr(entries[0], "trial", None) is not None:
                    raise LogError("the disk is full")
                await whole(*entries)

            b.gateway.shadows.log = type("Broken", (), {"append": staticmethod(broken), "path": b.log})()
            assert (await b.ask()).status == 200
            await settled(b)
            assert b.premium.seen == []
            assert b.gateway.shadows.spent["shadow[0]"] == 0
            with closing(sqlite3.connect(b.log)) as db:
                assert db.execute("SELECT count(*) FROM record WHERE kind = 'compared'").fetchone() == (0,)

    run(check)


def test_only_so_many_requests_are_shadowed_at_once(tmp_path: Path) -> None:
    """Twelve answers while candidates hang: eight are shadowed, and all twelve clients have theirs."""

    async def check() -> None:
        async with shadowed(tmp_path, total="170s", **rule()) as b:
            b.premium.fault = "hang"
            got = await asyncio.gather(*(b.ask() for _ in range(12)))
            assert {answer.status for answer in got} == {200}
            await until(lambda: len(b.premium.seen) == MOST)
            assert b.gateway.shadows.under_way == MOST
            await b.gateway.shadows.ended(20)
            assert len(await compared(b, MOST)) == len(b.premium.seen) == MOST == 8

    run(check)


def test_pictures_are_answered_unseen_where_the_lane_reads_them_and_are_never_judged(tmp_path: Path) -> None:
    """The wall leaves the request our own lanes; a judge, which reads text alone, is not asked."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, picture]}]

    async def check(reads: str, seen: int) -> None:
        async with (
            ScriptedLane(model="arbiter", answer="a cat") as arbiter,
            shadowed(tmp_path / reads, third=arbiter.url, third_more=f", supports: [{reads}]",
                     **rule(lanes="arbiter", more="budget: 5, judge: [home]")) as b,
        ):  # fmt: skip
            assert (await b.ask(messages=messages)).status == 200
            if seen:
                (made,) = await compared(b)
                assert (made.result, made.judge, made.code) == ("unjudged", "", "no-text")
            await settled(b)
            assert (len(arbiter.seen), len(b.home.seen)) == (seen, 1)

    run(lambda: check("vision", 1))
    run(lambda: check("tools", 0))


def test_where_it_is_not_known_what_today_has_cost_nothing_is_shadowed(tmp_path: Path) -> None:
    """A log that cannot be read at the start: requests are answered, and no candidate is asked."""

    async def check() -> None:
        async with shadowed(tmp_path, **rule()) as b:
            await b.ask()
            await compared(b)
            with closing(sqlite3.connect(b.log)) as db, db:
                db.execute("DROP TRIGGER record_unchanged")
                db.execute("UPDATE record SET body = x'00' WHERE kind = 'compared'")
            b.gateway.shadows.recall()
            assert b.gateway.shadows.stopped
            assert (await b.ask()).status == 200
            assert len(b.premium.seen) == 1

    run(check)


def test_kill_9_leaves_an_open_intent_that_the_next_start_closes_and_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server dies while the candidate hangs: the request's outcome stands, the comparison is interrupted."""
    monkeypatch.setenv("PREMIUM_KEY", "sk-canary-key")
    policy, log = tmp_path / "laneway.yaml", tmp_path / "laneway.db"

    async def check() -> None:
        async with (
            ScriptedLane(model="home-model", answer="from home") as home,
            ScriptedLane(model="premium-model", answer="from premium") as premium,
            aiohttp.ClientSession() as session,
        ):
            premium.fault = "hang"
            policy.write_text(
                policy_text(
                    home.url,
                    premium.url,
                    total="170s",
                    tail=rule(more="budget: 5, when: {sensitivity: [internal, public]}")["more_shadow"],
                )
            )
            body = {"model": "auto", "messages": [{"role": "user", "content": "Hello there"}]}
            server, url = await asyncio.to_thread(served, policy)
            async with session.post(f"{url}/chat/completions", json=body) as response:
                assert response.status == 200
            await until(lambda: premium.seen)
            await asyncio.to_thread(ended, server, signal.SIGKILL)
            premium.fault = None
            server, url = await asyncio.to_thread(served, policy)
            async with session.post(f"{url}/chat/completions", json=body) as response:
                assert response.status == 200
            await until(lambda: len(premium.seen) == 2)
            assert await asyncio.to_thread(ended, server, signal.SIGTERM) == 0

    run(check)
    with closing(Reader.open(log)) as reader:
        assert reader.verify().ok
        killed, whole = reader.stories()
        assert killed.outcome is not None
        assert killed.outcome.entry.status == "answered"
        (made,) = (c.entry for c in killed.compared)
        assert (made.lane, made.result, made.code) == ("premium", "failed", "interrupted")
        assert made.cost > 0
        assert [u.entry.trial and u.entry.trial.worst for u in killed.unseen] == [made.cost]
        assert len(whole.compared) == 1
    arguments = ["shadow", "--policy", str(policy), "--json"]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    assert found["evidence"] is False
    (row,) = found["rows"]
    assert (row["lane"], row["incumbent"], row["asked"]) == ("premium", "home", 2)
    assert row["interrupted"] >= 1
    plain = CliRunner().invoke(main, arguments[:-1])
    assert "no workload, shadow[0]: premium against home" in plain.output
    assert "not evidence: `laneway eval run` opens a lane" in plain.output
    assert json.loads(CliRunner().invoke(main, [*arguments, "--workload", "contracts"]).output)["rows"] == []
    story = CliRunner().invoke(main, ["why", killed.id, "--policy", str(policy)])
    assert "unseen: premium failed (interrupted) against home" in story.output
