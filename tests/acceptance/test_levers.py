"""Operators' levers: on record, in force at once and after a restart, and obeyed by everything that calls a lane."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from tests.acceptance.test_feedback import BODY
from tests.evals import case, ended, rows
from tests.faults.test_resilience import attempts, until
from tests.harness import Answered, Bench, bench, policy_text, run
from tests.processes import served

from laneway.cli import main
from laneway.decide import decide
from laneway.gateway import Active
from laneway.levers import Levers
from laneway.policy_file import parse
from laneway.providers.scripted import Scripted
from laneway.store import Log, Reader

RESTRICTED = {"Laneway-Sensitivity": "restricted"}
CONTRACTS = {"Laneway-Workload": "contracts"}
HARD = "Prove that the algorithm terminates, and explain the trade-offs step by step."
WHO = {"by": "Ann", "why": "its disk is failing"}


async def pull(b: Bench, action: str, target: str = "all", **more: str) -> Answered:
    """One lever over HTTP."""
    data = msgspec.json.encode({"action": action, "target": target, **WHO, **more})
    async with b.session.post(f"{b.url}/levers", data=data, headers={"content-type": "application/json"}) as response:
        return Answered(response.status, {k.lower(): v for k, v in response.headers.items()}, await response.read())


def laneway(*arguments: str) -> Result:
    """One command in this process."""
    return CliRunner().invoke(main, list(arguments))


def words(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


def test_a_closed_lane_is_called_by_nothing_and_the_explanation_names_the_lever(tmp_path: Path) -> None:
    """The lever is on record, requests take the next lane by policy and wall, and say by whose lever and why."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await pull(b, "close", "lane:home")
            assert (got.status, got.json["recorded"], got.json["cut"]) == (200, True, 0)
            lever = got.json["lever"]
            with closing(Reader.open(b.log)) as reader:
                assert [msgspec.to_builtins(logged.entry) for logged in reader.levers()] == [lever]
            assert lever["target"] == "lane:home"
            answer = await b.ask()
            assert (answer.status, answer.headers["laneway-lane"], b.home.requests) == (200, "premium", 0)
            (rejected,) = [r for r in b.story().opening.decision.rejected if r.lane == "home"]
            assert rejected.code == "closed"
            assert f"lane home is closed by Ann since {time.strftime('%Y', time.gmtime())}" in rejected.effect
            assert f"(lever {lever['id']}): its disk is failing" in rejected.effect
            refused = await b.ask("x", RESTRICTED)
            assert (refused.status, refused.error["code"], b.premium.requests) == (403, "no_lane", 1)
            assert lever["id"] in refused.error["message"]
            assert lever["id"] in laneway("why", "--log", str(b.log)).output

    run(test)


def test_what_was_decided_before_a_lever_calls_no_lane_after_it(tmp_path: Path) -> None:
    """A request that waits for the lane's one slot finds it closed when the slot is free, and goes on as after a failure."""

    async def test() -> None:
        async with bench(tmp_path, home_price="0, limits: {concurrency: 1}") as b:
            b.home.fault, b.home.seconds = "slow-first-byte", 1.0
            first = asyncio.create_task(b.ask("one"))
            await b.home.arrived.wait()
            second = asyncio.create_task(b.ask("two"))
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            await until("the second waits", lambda: flow.slots.waiting == 1)
            assert (await pull(b, "drain", "lane:home")).json["recorded"] is True
            assert [(await each).headers["laneway-lane"] for each in (first, second)] == ["home", "premium"]
            assert b.home.requests == 1
            closed, answered = attempts(b, (await second).headers["laneway-decision"])
            assert (closed.result, closed.skipped, answered.result) == ("closed", True, "answered")

    run(test)


def test_a_call_on_record_that_has_not_left_does_not_leave(tmp_path: Path) -> None:
    """The last look is when the connection stands: a lever pulled while it was being made keeps every byte back."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            lines = b.gateway.active.provider._lines  # type: ignore[attr-defined]
            connected, connecting, go = lines.connected, asyncio.Event(), asyncio.Event()

            async def slowly(place: Any) -> Any:
                line = await connected(place)
                connecting.set()
                await go.wait()
                return line

            lines.connected = slowly
            asking = asyncio.create_task(b.ask())
            await connecting.wait()
            await pull(b, "drain", "lane:home")
            lines.connected = connected
            go.set()
            assert (await asking).headers["laneway-lane"] == "premium"
            assert b.home.requests == 0
            first, second = attempts(b)
            assert (first.lane, first.result, first.skipped, first.cost) == ("home", "closed", False, None)
            assert second.result == "answered"
            assert [i.entry.lane for i in b.story().intents] == ["home", "premium"]

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_closing_cuts_a_running_call_and_the_plan_goes_on_as_after_a_failure(tmp_path: Path, stream: bool) -> None:
    """The lane's connection is cut at once; the next lane answers; the cut call counts at its worst cost, and no fault."""

    async def test() -> None:
        async with bench(tmp_path, home_price="{input: 1.0, output: 2.0}") as b:
            b.home.fault = "hang"
            asking = asyncio.create_task(b.ask(stream=stream))
            await b.home.arrived.wait()
            got = await pull(b, "close", "lane:home")
            assert got.json["cut"] == 1
            answer = await asking
            assert (answer.status, answer.headers["laneway-lane"]) == (200, "premium")
            await asyncio.wait_for(b.home.left.wait(), 5)
            cut, answered = attempts(b)
            assert (cut.result, answered.result) == ("cut", "answered")
            assert cut.cost is not None
            flow = b.gateway.traffic.of(b.gateway.active.policy.lanes["home"])
            assert (flow.breaker.failures, flow.slots.held, flow.under_way) == (0, 0, set())
            assert [i.entry.cause for i in b.story().intents] == ["", "cut"]

    run(test)


def test_a_cut_stays_behind_the_wall(tmp_path: Path) -> None:
    """Restricted data that only home may have is refused when home is closed under it, and nothing goes outside."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "hang"
            asking = asyncio.create_task(b.ask("x", RESTRICTED))
            await b.home.arrived.wait()
            await pull(b, "close", "lane:home")
            got = await asking
            assert (got.status, got.error["code"]) == (503, "lanes_failed")
            assert (b.home.requests, b.premium.requests) == (1, 0)

    run(test)


def test_a_live_stream_is_cut_with_an_error_event(tmp_path: Path) -> None:
    """Once words are with the client no other lane follows: its stream ends with the error."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.premium.answer, read = Scripted(text="word " * 400, delay=0.02), b""
            sent = BODY | {"stream": True, "messages": [{"role": "user", "content": HARD}]}
            async with b.session.post(f"{b.url}/chat/completions", json=sent) as response:
                async for piece in response.content.iter_any():
                    if b"word" not in read:
                        await pull(b, "close", "lane:premium")
                    read += piece
            assert b'"code":"lanes_failed"' in read
            assert b"[DONE]" not in read.partition(b"lanes_failed")[0]
            assert [a.result for a in attempts(b)] == ["cut"]
            assert b.home.requests == 0

    run(test)


def test_draining_lets_running_calls_end(tmp_path: Path) -> None:
    """The answer under way is given; the next request goes elsewhere."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault, b.home.seconds = "slow-first-byte", 0.5
            asking = asyncio.create_task(b.ask())
            await b.home.arrived.wait()
            assert (await pull(b, "drain", "lane:home")).json["cut"] == 0
            assert (await b.ask()).headers["laneway-lane"] == "premium"
            assert (await asking).headers["laneway-lane"] == "home"
            assert b.home.requests == 1

    run(test)


def test_a_drained_lane_can_be_closed_and_opened_again(tmp_path: Path) -> None:
    """The last lever on a lane is the one in force; opening undoes it, and opening again is nothing new."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            for action, recorded in (
                ("drain", True),
                ("drain", False),
                ("close", True),
                ("open", True),
                ("open", False),
            ):
                assert (await pull(b, action, "lane:home")).json["recorded"] is recorded
            assert (await b.ask()).headers["laneway-lane"] == "home"
            with closing(Reader.open(b.log)) as reader:
                assert [logged.entry.action for logged in reader.levers()] == ["drain", "close", "open"]

    run(test)


def test_a_paused_workload_is_refused_and_nothing_else_is(tmp_path: Path) -> None:
    """503 `paused` with who and why, on record as refused and made again by its facts; unlabelled requests are served."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            lever = (await pull(b, "pause", "workload:contracts")).json["lever"]
            got = await b.ask("x", CONTRACTS)
            assert (got.status, got.error["code"], got.headers["x-should-retry"]) == (503, "paused", "false")
            assert f"by Ann since {time.strftime('%Y', time.gmtime())}" in got.error["message"]
            assert f"(lever {lever['id']}): its disk is failing" in got.error["message"]
            story = b.story(got.headers["laneway-decision"])
            assert story.outcome is not None
            assert (story.outcome.entry.status, story.outcome.entry.code, story.intents) == ("refused", "paused", ())
            opening = story.opening
            again = decide(b.gateway.active.policy, opening.ask, opening.signals, opening.facts)
            assert again == opening.decision
            assert {r.lane for r in again.rejected} == {"home", "premium"}
            assert (await b.ask()).status == 200
            assert (await b.ask("x", {"Laneway-Workload": "contracts", **RESTRICTED})).error["code"] == "paused"
            await pull(b, "resume", "workload:contracts")
            assert (await b.ask("x", CONTRACTS)).status == 200

    run(test)


def test_a_workload_paused_under_a_request_calls_no_further_lane(tmp_path: Path) -> None:
    """The call under way ends; what would follow is not made, and the client is told so."""

    async def test() -> None:
        async with bench(tmp_path, more_work="\n  chat: {}") as b:
            b.home.fault, b.home.seconds, b.home.wait = "500", 0.0, 0.5
            asking = asyncio.create_task(b.ask("x", {"Laneway-Workload": "chat"}))
            await b.home.arrived.wait()
            await pull(b, "pause", "workload:chat")
            got = await asking
            assert (got.status, got.error["code"]) == (503, "paused")
            assert [(a.lane, a.result) for a in attempts(b)] == [("home", "server-error"), ("premium", "paused")]
            assert b.premium.requests == 0

    run(test)


def test_stopping_everything_refuses_cuts_and_says_so(tmp_path: Path) -> None:
    """Requests under way end as `stopped`, new ones are refused and on record, and the server is not ready; `go` undoes."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "hang"
            running = [asyncio.create_task(b.ask(headers=headers)) for headers in ({}, RESTRICTED)]
            await until("both run", lambda: b.home.requests == 2)
            assert (await pull(b, "stop")).json["cut"] == 2
            for asking in running:
                got = await asking
                assert (got.status, got.error["code"]) == (503, "stopped")
            got = await b.ask()
            assert (got.status, got.error["code"], got.headers["x-should-retry"]) == (503, "stopped", "false")
            assert b.story().opening.decision.reasons[0].code == "stopped"
            assert (b.home.requests, b.premium.requests) == (2, 0)
            async with b.session.get(b.url.removesuffix("/v1") + "/ready") as response:
                assert (response.status, (await response.json())["levers"]) == (503, b.gateway.levers.says)
            b.home.fault = None
            await pull(b, "go")
            assert (await b.ask()).status == 200
            assert b.verified()

    run(test)


@pytest.mark.parametrize("lever", [("close", "lane:premium"), ("drain", "lane:premium")])
def test_escalations_judges_hedges_and_pins_obey(tmp_path: Path, lever: tuple[str, str]) -> None:
    """Whatever the reason to call it: a lane that was shut is not called."""

    async def test() -> None:
        more = {"more_gate": "\n  judge: [premium]", "tail": "", "first_byte": "5s, hedge: 0.05s"}
        async with bench(tmp_path, **more) as b:
            b.home.fault, b.home.seconds = "slow-first-byte", 0.3
            b.home.arrived.clear()
            decided = [asyncio.create_task(b.ask(stream=stream)) for stream in (False, True)]
            b.home.answer = Scripted(text="")  # weak: an escalation would follow
            await b.home.arrived.wait()
            await pull(b, *lever)
            calls = b.premium.requests
            await asyncio.gather(*decided)
            for body in ({}, {"model": "lane/premium"}, {"stream": True}):
                await b.ask(HARD, **body)
            b.home.answer = "a good answer, which would be judged"
            await b.ask()
            assert b.premium.requests == calls

    run(test)


def test_a_shadow_obeys(tmp_path: Path) -> None:
    """An unseen call of a shut lane is not made, and one under way is cut off without blaming the lane."""

    async def test() -> None:
        shadow = f"""
shadow:
  - {{says: Compare., lanes: [premium], share: 1, budget: 1, until: {time.strftime("%Y-%m-%d", time.gmtime(time.time() + 864000))}}}
"""
        async with bench(tmp_path, tail=shadow) as b:
            b.premium.fault = "hang"
            await b.ask()
            await until("the shadow runs", lambda: b.premium.requests == 1)
            await pull(b, "close", "lane:premium")
            await until("it is over", lambda: b.gateway.shadows.under_way == 0)
            (compared,) = b.story().compared
            assert (compared.entry.result, compared.entry.code) == ("failed", "interrupted")
            await b.ask()
            await until("nothing runs", lambda: b.gateway.shadows.under_way == 0)
            assert b.premium.requests == 1

    run(test)


async def on_record(folder: Path, *levers: tuple[str, str]) -> None:
    """Levers pulled while no server has the log open."""
    log = await asyncio.to_thread(Log.open, folder / "laneway.db")
    with closing(log):
        for action, target in levers:
            known = Levers()
            known.recall(log.path)
            assert await known.pull(known.wanted(action, target, "Ann", "drill", policy=None, now=log.now()), log)


def test_an_evaluation_obeys_what_is_pulled_before_it(tmp_path: Path) -> None:
    """A closed lane is not asked and said to be given up, a paused workload is not asked anything of; all stays open."""

    async def test() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(5))
            await on_record(tmp_path, ("close", "lane:premium"))
            done = await it.run("--json")
            assert (done.code, it.premium.requests, it.home.requests) == (1, 0, 5)
            assert "lane premium is closed by Ann" in done.lane("premium")["given_up"]
            await on_record(tmp_path, ("open", "lane:premium"), ("pause", "workload:contracts"))
            done = await it.run("--json")
            assert (done.code, it.premium.requests) == (1, 0)
            assert done.lane("premium")["unanswered"] == 5
            await on_record(tmp_path, ("resume", "workload:contracts"))
            assert (await it.run()).code == 0

    run(test)


def test_an_evaluation_obeys_what_is_pulled_while_it_runs(tmp_path: Path) -> None:
    """The lane is asked no more and what it was doing is cut; the other lane goes on to the end."""

    async def test() -> None:
        async with case(tmp_path) as it:
            it.write_set(rows(10))
            it.premium.fault = "hang"
            process = await it.start("--json")
            await until("premium is asked", lambda: it.premium.requests == 8)
            await on_record(tmp_path, ("close", "lane:premium"))
            done = await ended(process)
            assert (done.code, it.premium.requests, it.home.requests) == (1, 8, 10)
            assert "lane premium" in done.lane("premium")["given_up"]

    run(test)


def test_a_log_that_takes_nothing_pulls_no_lever(tmp_path: Path) -> None:
    """503, nothing is in force, and it works again once the log does."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.gateway.log._db.execute("PRAGMA query_only = ON")
            got = await pull(b, "close", "lane:home")
            assert (got.status, got.error["code"]) == (503, "log_unavailable")
            assert "was not pulled" in got.error["message"]
            assert b.gateway.levers.in_force == {}
            b.gateway.log._db.execute("PRAGMA query_only = OFF")
            assert (await b.ask()).headers["laneway-lane"] == "home"
            assert (await pull(b, "close", "lane:home")).json["recorded"] is True

    run(test)


def test_two_operators_at_once_pull_one_lever(tmp_path: Path) -> None:
    """Of ten who close a lane at the same time one is on record, and the others are told whose lever stands."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await asyncio.gather(*(pull(b, "close", "lane:home", by=f"op{i}") for i in range(10)))
            assert sorted(g.json["recorded"] for g in got) == [False] * 9 + [True]
            assert len({g.json["lever"]["id"] for g in got}) == 1
            with closing(Reader.open(b.log)) as reader:
                assert len(list(reader.levers())) == 1

    run(test)


@pytest.mark.parametrize(
    ("said", "status", "code", "hint"),
    [
        ({"target": "lane:hom"}, 404, "unknown_target", "did you mean `home`?"),
        ({"action": "pause", "target": "workload:contract"}, 404, "unknown_target", "did you mean `contracts`?"),
        ({"action": "shut"}, 400, "unknown_lever", "`shut` is no lever"),
        ({"action": "stop"}, 400, "unknown_target", "stop takes `all`"),
        ({"target": "home"}, 400, "unknown_target", "close takes `lane:NAME`"),
        ({"action": "undo", "target": "1a2"}, 404, "unknown_lever", "no lever is"),
        ({"action": "undo", "target": ""}, 404, "unknown_lever", "no lever is"),
        ({"by": ""}, 400, "invalid_label", "`by`"),
        ({"why": ""}, 400, "invalid_reason", "1 to 500"),
        ({"why": "of 811218-9876"}, 400, "identifier_found", "`why`"),
        ({"until": "noon"}, 400, "unknown_field", "action, by, why, target"),
        ({"why": 7}, 400, "invalid_type", "why"),
    ],
)
def test_what_is_no_lever_changes_nothing(
    tmp_path: Path, said: dict[str, Any], status: int, code: str, hint: str
) -> None:
    """Each error has its code, and names what was meant where that can be guessed."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await pull(b, **({"action": "close", "target": "lane:home"} | said))
            assert (got.status, got.error["code"]) == (status, code)
            assert hint in got.error["message"]
            assert "9876" not in got.error["message"]
            assert b.gateway.levers.in_force == {}

    run(test)


def test_levers_are_pulled_whatever_the_load_and_only_from_here(tmp_path: Path) -> None:
    """A full server takes them; a foreign host, a form and a label are turned away."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.api.most = 0
            assert (await b.ask()).error["code"] == "overloaded"
            assert (await pull(b, "stop")).status == 200
            data = msgspec.json.encode({"action": "go", **WHO})
            for headers, code in (({"Host": "evil.example"}, "foreign_host"), ({"Content-Type": "text/plain"}, "not_json"),
                                  ({"Laneway-Team": "x"}, "misplaced_label")):  # fmt: skip
                sent = {"content-type": "application/json"} | {k.lower(): v for k, v in headers.items()}
                async with b.session.post(f"{b.url}/levers", data=data, headers=sent) as response:
                    assert (await response.json())["error"]["code"] == code
            assert b.gateway.levers.stopped

    run(test)


def test_a_lever_outlives_its_policy(tmp_path: Path) -> None:
    """Another policy does not undo it; where its lane is gone it is listed as such, and can be undone."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await pull(b, "close", "lane:premium")
            text = policy_text(b.home.url, b.premium.url, total="9s")
            provider = b.gateway.active.provider
            b.gateway.active = Active(parse(text, "new.yaml"), provider)
            await b.ask(HARD)
            assert b.premium.requests == 0
            small = tmp_path / "small.yaml"
            small.write_text(text.replace("  premium:\n", "  dear:\n").replace("premium]", "dear]"))
            listed = await asyncio.to_thread(laneway, "lever", "--policy", str(small), "--log", str(b.log))
            assert "the policy has no such lane or workload any more" in listed.output
            b.gateway.active = Active(parse(small.read_text(), "small.yaml"), provider)
            id = b.gateway.levers.in_force["lane:premium"].id
            assert (await pull(b, "undo", id[:16])).json["lever"]["action"] == "open"
            assert b.gateway.levers.in_force == {}

    run(test)


def test_after_the_answer_to_a_lever_no_request_of_64_clients_reaches_the_lane(tmp_path: Path) -> None:
    """By the lane server's own ledger: of the requests that clients begin after it, none is there."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            pulled, stop, late, served_late = asyncio.Event(), asyncio.Event(), set[str](), 0

            async def client(number: int) -> None:
                nonlocal served_late
                turn = 0
                while not stop.is_set():
                    text, after = f"request {number}-{turn}", pulled.is_set()
                    if after:
                        late.add(str([{"role": "user", "content": text}]))
                    got = await b.ask(text, stream=turn % 2 == 1)
                    assert got.status == 200
                    if after:
                        served_late += 1
                        assert got.headers["laneway-lane"] == "premium"
                    turn += 1

            clients = [asyncio.create_task(client(number)) for number in range(64)]
            await until("the lane is busy", lambda: b.home.requests > 200)
            assert (await pull(b, "close", "lane:home")).status == 200
            pulled.set()
            before = b.home.requests
            await until("a thousand more are served", lambda: served_late >= 1000, 60)
            stop.set()
            await asyncio.gather(*clients)
            assert {str(seen.body["messages"]) for seen in b.home.seen} & late == set()
            # What arrives yet had left before: no more than one call of each client.
            assert b.home.requests - before <= 64
            assert b.verified()

    run(test)


# processes and commands


def policy_file(folder: Path) -> Path:
    """The bench's policy as a file, over lanes that no test calls."""
    text = policy_text("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1").replace("    key: env:PREMIUM_KEY\n", "")
    (folder / "laneway.yaml").write_text(text)
    return folder / "laneway.yaml"


@contextmanager
def server(policy: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`laneway serve` as a process, and its address; killed in the end."""
    process, url = served(policy)
    with process:
        try:
            yield process, url.removesuffix("/v1")
        finally:
            process.kill()


def with_log(folder: Path) -> Path:
    """A policy beside which a server has made a log, and has ended."""
    policy = policy_file(folder)
    with server(policy) as (process, _):
        process.terminate()
        process.wait()
    return policy


def test_a_lever_is_in_force_after_a_kill(tmp_path: Path) -> None:
    """kill -9 as soon as the command has its answer: the next server starts with the lever, and refuses."""
    policy = policy_file(tmp_path)
    at, who = ("--policy", str(policy)), ("--by", "Ann", "--why", "its disk is failing")
    with server(policy) as (process, url):
        made = laneway("lever", "stop", *at, "--url", url, *who)
        process.kill()
    assert made.exit_code == 0, made.output
    assert "everything is stopped by Ann since" in words(made.output)
    listed = json.loads(laneway("lever", *at, "--json").output)
    assert [row["action"] for row in listed["in_force"]] == ["stop"]
    with server(policy) as (_, url):
        with pytest.raises(urllib.error.HTTPError) as refused:
            sent = {"content-type": "application/json"}
            urllib.request.urlopen(
                urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(BODY).encode(), sent)
            )
        with refused.value as error:
            assert json.load(error)["error"]["code"] == "stopped"
        assert laneway("lever", "go", *at, "--url", url, *who).exit_code == 0
    assert json.loads(laneway("lever", *at, "--json").output)["in_force"] == []


def test_a_server_says_which_levers_are_in_force_when_it_starts(tmp_path: Path) -> None:
    """One line each, and in its JSON."""
    policy = with_log(tmp_path)
    made = laneway("lever", "close", "home", "--policy", str(policy), "--by", "Ann", "--why", "drill")
    assert made.exit_code == 0, made.output
    process = subprocess.Popen([sys.executable, "-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0"],
                               stderr=subprocess.PIPE, text=True)  # fmt: skip
    with process:
        assert process.stderr is not None
        try:
            assert any("lane home is closed by Ann since" in line for line in process.stderr)
        finally:
            process.kill()


def test_without_a_server_the_command_writes_the_log_itself(tmp_path: Path) -> None:
    """Each verb is on record and listed; `explain` knows what is in force; undoing is by name or by id."""
    policy = with_log(tmp_path)
    at, who = ("--policy", str(policy)), ("--by", "Bo", "--why", "moving house")

    def lever(*arguments: str, code: int = 0) -> str:
        made = laneway("lever", *arguments, *at, *who)
        assert made.exit_code == code, made.output
        return words(made.output)

    assert "No lever is in force." in laneway("lever", *at).output
    assert "lane home is drained by Bo since" in lever("drain", "home")
    assert "it was so before" in lever("drain", "home")
    assert "did you mean `home`?" in lever("close", "hom", code=1)
    assert "workload contracts is paused by Bo" in lever("pause", "contracts")
    assert "nothing is in force on all: nothing to undo" in lever("go")
    explained = laneway("explain", *at)
    assert "Route to premium" in explained.output
    assert "lane home is drained by Bo" in words(explained.output)
    refused = laneway("explain", *at, "--workload", "contracts")
    assert (refused.exit_code, "workload contracts is paused by Bo" in words(refused.output)) == (3, True)
    rows = json.loads(laneway("lever", *at, "--json").output)["in_force"]
    assert [(row["target"], row["known"]) for row in rows] == [("lane:home", True), ("workload:contracts", True)]
    lever("undo", rows[0]["id"][:20])
    assert "no single lever in force has the id" in lever("undo", rows[0]["id"], code=1)
    lever("resume", "contracts")
    listed = laneway("lever", *at)
    assert "No lever is in force." in listed.output
    assert "moving house" in listed.output
    assert laneway("log", "verify", *at).exit_code == 0


def test_a_log_that_cannot_say_what_is_in_force_starts_no_server(tmp_path: Path) -> None:
    """A damaged lever is no reason to forget it."""
    policy = with_log(tmp_path)
    made = laneway("lever", "stop", "--policy", str(policy), "--by", "Ann", "--why", "drill")
    assert made.exit_code == 0, made.output
    with closing(sqlite3.connect(tmp_path / "laneway.db")) as db:
        db.execute("DROP TRIGGER record_unchanged")
        db.execute("UPDATE record SET body = x'7b' WHERE kind = 'lever'")
        db.commit()
    started = laneway("serve", "--policy", str(policy), "--port", "0")
    assert started.exit_code == 1
    assert "cannot be read" in words(started.output)
    explained = laneway("explain", "--policy", str(policy))
    assert "whether operators have closed lanes is not known" in words(explained.output)


def test_lanes_and_metrics_show_levers(tmp_path: Path) -> None:
    """The state of a lane names the lever; Prometheus gets a series for each in force."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await pull(b, "close", "lane:home")
            await pull(b, "pause", "workload:flags")
            shown = await asyncio.to_thread(laneway, "lanes", "--url", b.url)
            assert "lane home is closed by Ann" in words(shown.output)
            async with b.session.get(b.url.removesuffix("/v1") + "/metrics") as response:
                text = await response.text()
            assert 'laneway_lever{target="lane:home",action="close"} 1\n' in text
            assert 'laneway_lever{target="workload:flags",action="pause"} 1\n' in text
            assert 'laneway_lane_state{lane="home",state="closed"} 1\n' in text

    run(test)
