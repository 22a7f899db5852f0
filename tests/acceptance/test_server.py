"""The server under load and at its end: shedding, slow readers, draining, and what it tells of its lanes."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from tests.faults.test_resilience import attempts, until
from tests.harness import Bench, bench, policy_text, run
from tests.processes import served

from laneway.cli import main
from laneway.providers.scripted import Scripted, ScriptedLane
from laneway.server import api
from laneway.store import Reader

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hello there"}]}
HARD = "Prove that the algorithm terminates, and explain the trade-offs step by step."
LONG = Scripted(text="word " * 200, delay=0.005)


async def get(b: Bench, path: str) -> str:
    """What the server says at a path."""
    async with b.session.get(b.url.removesuffix("/v1") + path) as response:
        return await response.text()


@pytest.mark.parametrize("stream", [False, True])
def test_one_request_too_many_is_turned_away_at_once(tmp_path: Path, stream: bool) -> None:
    """It gets 429 in the wire's shape before any lane is called; it is counted, and not put on record."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.api.most, b.home.fault = 2, "hang"
            held = [asyncio.create_task(b.ask(stream=stream)) for _ in range(2)]
            await until("two are in flight", lambda: b.home.requests == 2)
            got = await b.ask(stream=stream)
            assert (got.status, got.headers["retry-after"]) == (429, "1")
            assert (got.error["code"], got.error["type"]) == ("overloaded", "rate_limit_error")
            assert (b.home.requests, b.premium.requests, b.api.shed) == (2, 0, 1)
            assert "laneway_requests_shed_total 1\n" in await get(b, "/metrics")
            for asking in held:
                asking.cancel()
            await until("both have left", lambda: b.api.in_flight == 0)
            b.home.fault = None
            assert (await b.ask()).status == 200
            with closing(Reader.open(b.log)) as reader:
                assert len(list(reader.stories())) == 3

    run(test)


def stuck(url: str, body: dict[str, Any]) -> socket.socket:
    """A client that asks for a stream and never reads."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    sent = json.dumps(body | {"stream": True}).encode()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(sent) + sent)  # fmt: skip
    return client


def live() -> dict[str, Any]:
    """A request whose stream is passed on as it comes."""
    return BODY | {"messages": [{"role": "user", "content": HARD}]}


def test_a_reader_too_slow_for_its_deadline_is_ended_and_recorded(tmp_path: Path) -> None:
    """The lane is held back meanwhile, not blamed, and let go; the client is hung up on."""

    async def test() -> None:
        async with bench(tmp_path, total="1.5s", first_byte="0.7s") as b:
            b.premium.fault = "endless"
            with stuck(b.url, live()):
                await asyncio.wait_for(b.premium.left.wait(), 10)
                await until("it is on record", lambda: b.story().outcome is not None)
            (attempt,) = attempts(b)
            outcome = b.story().outcome
            assert outcome is not None
            assert (attempt.result, outcome.entry.status, outcome.entry.code) == (
                "slow-reader",
                "failed",
                "slow_reader",
            )
            assert b.gateway.traffic.of(b.gateway.active.policy.lanes["premium"]).breaker.failures == 0
            await until("nothing is in flight", lambda: b.api.in_flight == 0)

    run(test)


def test_a_reader_a_moment_behind_a_lane_that_floods_gets_its_end(tmp_path: Path) -> None:
    """At the deadline it is waited for, as it always is: that is the lane's doing, and the stream ends with the error."""

    async def test() -> None:
        async with bench(tmp_path, total="1.5s", first_byte="0.7s") as b:
            b.premium.fault, tail = "endless", b""
            async with b.session.post(f"{b.url}/chat/completions", json=live() | {"stream": True}) as response:
                async for piece in response.content.iter_chunked(65_536):
                    tail = (tail + piece)[-2000:]
                    await asyncio.sleep(0.004)
            assert b'"code":"lanes_failed"' in tail
            assert [attempt.result for attempt in attempts(b)] == ["late"]

    run(test)


def test_a_reader_that_takes_nothing_is_hung_up_on_without_a_deadline_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After STALL seconds without a byte taken; the record says that the client went away."""
    monkeypatch.setattr(api, "STALL", 0.5)

    async def test() -> None:
        async with bench(tmp_path, total="100s", first_byte="50s") as b:
            b.premium.fault = "endless"
            with stuck(b.url, live()):
                await asyncio.wait_for(b.premium.left.wait(), 10)
                await until("it is on record", lambda: b.story().outcome is not None)
            assert [a.result for a in attempts(b)] == ["cancelled"]

    run(test)


def test_slow_readers_hold_their_lanes_back(tmp_path: Path) -> None:
    """However much the lane has to say, each reader that does not read costs a bounded part of it."""

    async def test() -> None:
        async with bench(tmp_path, total="100s", first_byte="50s") as b:
            pieces = [
                b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": {"content": "x" * 60_000}}]}).encode()
            ]
            b.premium.answer = Scripted(raw=tuple(pieces * 500))
            clients = [stuck(b.url, live()) for _ in range(8)]
            try:
                await until("all have begun", lambda: b.premium.requests == 8)
                blocked = [w.transport for w in b.premium._open.values()]

                unsent, before = [0], [1]
                while unsent != before:
                    await asyncio.sleep(0.2)
                    before, unsent = unsent, [transport.get_write_buffer_size() for transport in blocked]
                assert min(unsent) > 15_000_000
            finally:
                for client in clients:
                    client.close()
            await until("all have left", lambda: b.api.in_flight == 0)

    run(test)


def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that announces a body and sends none gets 408 and gives its place back."""
    monkeypatch.setattr(api, "STALL", 0.2)

    async def test() -> None:
        async with bench(tmp_path) as b:
            host, port = b.url.removeprefix("http://").removesuffix("/v1").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         b"Content-Length: 100\r\n\r\n{")  # fmt: skip
            answer = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b'"code":"body_too_slow"' in answer
            assert b.api.in_flight == 0

    run(test)


def test_a_stopping_server_finishes_what_it_has_and_takes_no_more(tmp_path: Path) -> None:
    """SIGTERM in the middle of streams and answers: all end as they should, later ones get 503, then it is gone."""

    async def test() -> None:
        async with (
            ScriptedLane(answer=LONG) as home,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        ):
            home.fault, home.seconds = "slow-first-byte", 1.0
            policy = tmp_path / "laneway.yaml"
            policy.write_text(policy_text(home.url, home.url))
            server, url = await asyncio.to_thread(served, policy)
            url += "/chat/completions"

            async def ask(stream: bool) -> tuple[int, bytes]:
                async with session.post(url, json=BODY | {"stream": stream}) as response:
                    return response.status, await response.read()

            try:
                asking = [asyncio.create_task(ask(i % 2 == 0)) for i in range(20)]
                await until("all are under way", lambda: home.requests == 20)
                server.send_signal(signal.SIGTERM)
                async with aiohttp.ClientSession() as late:
                    refused = await _refused(late, url)
                assert (refused.status, refused.headers["connection"], home.requests) == (503, "close", 20)
                answers = await asyncio.gather(*asking)
                assert {status for status, _ in answers} == {200}
                assert all(body.endswith((b"}", b"data: [DONE]\n\n")) for _, body in answers)
                await asyncio.to_thread(server.communicate, timeout=20)
                assert server.returncode == 0
            finally:
                server.kill()
            with closing(Reader.open(tmp_path / "laneway.db")) as reader:
                ends = [s.outcome.entry.status if s.outcome else None for s in reader.stories()]
            assert ends == 20 * ["answered"]

    run(test)


async def _refused(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
    """The first answer after the server has noticed its signal, which takes a moment."""
    for _ in range(100):
        async with session.get(url.replace("/v1/chat/completions", "/ready")) as ready:
            if (await ready.json())["status"] == "stopping":
                break
        await asyncio.sleep(0.01)
    async with session.post(url, json=BODY) as response:
        assert (await response.json())["error"]["code"] == "stopping"
        return response


def test_lanes_shows_what_the_running_server_knows(tmp_path: Path) -> None:
    """`laneway lanes` tells states, calls, failures and times, for people and for scripts."""

    async def test() -> None:
        async with bench(tmp_path, home_price="0, limits: {concurrency: 7, rpm: 600}") as b:
            await b.ask(HARD)
            b.home.fault = "500"
            for _ in range(6):
                await b.ask()

            def lanes(*arguments: str) -> str:
                result = CliRunner().invoke(main, ["lanes", "--url", b.url, *arguments])
                assert result.exit_code == 0, result.output
                return result.stdout

            home, premium = json.loads(await asyncio.to_thread(lanes, "--json"))
            assert (home["lane"], home["in_flight"], home["calls"]) == ("home", 0, {"server-error": 5})
            assert home["state"] in ("broken", "half-open")
            assert (home["concurrency"], home["rpm"], home["skips"]) == (7, 600, {"breaker-open": 1})
            assert [f["code"] for f in home["failures"]] == 5 * ["server-error"]
            assert (premium["state"], premium["calls"]["answered"]) == ("open", 7)
            assert 0 < premium["p50"] <= premium["p95"] < 10
            text = await asyncio.to_thread(lanes)
            assert "0 of 7" in text
            assert "server-error" in text
            b.gateway.active = b.gateway.active._replace(closed={"premium": "lane `premium` is closed: no key"})
            assert "premium: lane `premium` is closed: no key" in await asyncio.to_thread(lanes)

    run(test)


def test_lanes_says_which_are_shut_for_want_of_evidence(tmp_path: Path) -> None:
    """A lane that no work may use now is not called open; and a call that was cut off has not failed."""

    async def test() -> None:
        async with bench(tmp_path, until="2026-11-01") as b:
            b.gateway.traffic.of(b.gateway.active.policy.lanes["home"]).calls.update({"cancelled": 2, "late": 1})

            def lanes(*arguments: str) -> str:
                result = CliRunner().invoke(main, ["lanes", "--url", b.url, *arguments])
                assert result.exit_code == 0, result.output
                return result.stdout

            home, premium = json.loads(await asyncio.to_thread(lanes, "--json"))
            assert (home["state"], premium["state"]) == ("shut", "shut")
            assert "its waiver ended on 2026-11-01" in home["shut"][0]["why"]
            told = await asyncio.to_thread(lanes)
            assert "home: shut: home has no evidence" in told
            row = told.splitlines()[1].split()
            assert row[-4:] == ["0", "1", "2", "0"]  # answered, failed, cancelled, skipped; no time is known

    run(test)


def test_lanes_says_where_no_server_answers() -> None:
    """Nothing there is exit code 1; an address elsewhere is refused, whatever the environment's proxies are."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        result = CliRunner().invoke(main, ["lanes", "--url", f"http://127.0.0.1:{free.getsockname()[1]}"])
    assert (result.exit_code, "laneway serve" in result.stderr, "LANEWAY_URL" in result.stderr) == (1, True, True)
    result = CliRunner().invoke(main, ["lanes", "--url", "http://192.0.2.1:4180"])
    assert (result.exit_code, "of this machine" in result.stderr) == (2, True)


def test_metrics_are_text_that_prometheus_reads_and_hold_nothing_of_a_client(tmp_path: Path) -> None:
    """Every line is a comment or a sample; labels are lanes, states and codes alone."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await b.ask("canary-prompt-text", {"Laneway-Team": "canary-team"}, user="canary-user")
            b.home.fault = "500"
            await b.ask("canary-prompt-text")
            await b.ask("x", {"Laneway-Workload": "flags"})
            text = await get(b, "/metrics")
            assert "canary" not in text
            samples = [line for line in text.splitlines() if not line.startswith("#")]
            assert all(float(line.rpartition(" ")[2]) >= 0 for line in samples)
            assert 'laneway_requests_total{status="answered"} 2' in samples
            assert 'laneway_requests_total{status="held"} 1' in samples
            assert 'laneway_lane_calls_total{lane="home",result="server-error"} 1' in samples
            assert 'laneway_lane_state{lane="home",state="open"} 1' in samples
            assert len(set(samples)) == len(samples)

    run(test)
