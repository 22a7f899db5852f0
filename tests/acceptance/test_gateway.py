"""The whole flow over real sockets: client, server, lanes and log; and every bad input that a client can send."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import APIError, APIStatusError, AsyncOpenAI
from tests.harness import Bench, bench, policy_text, run

from laneway import gateway as gateway_module
from laneway.decision import Route
from laneway.explain import attempt_line
from laneway.policy_file import parse
from laneway.providers.scripted import Scripted, ScriptedLane
from laneway.server import app
from laneway.store import Reader
from laneway.weekly.reading import read

HARD = "Prove that the algorithm terminates, and explain the trade-offs step by step."
PERSONAL = "811228-9874"
CANARY = "canary-prompt-text"


def test_routine_work_is_answered_at_home(tmp_path: Path) -> None:
    """An unlabelled routine request goes to the cheapest lane, and the headers say which rule and why."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await b.ask()
            assert (got.status, got.json["choices"][0]["message"]["content"]) == (200, "from home")
            assert got.headers["laneway-lane"] == "home"
            assert got.headers["laneway-reason"] == "routes[1]: Other work starts at the cheapest lane."
            assert got.headers["laneway-evidence"] == "waived"
            story = b.story(got.headers["laneway-decision"])
            assert story.outcome is not None
            assert (story.outcome.entry.status, story.outcome.entry.lane) == ("answered", "home")
            assert b.home.seen[0].body["model"] == "home-model"
            assert b.verified()

    run(test)


def test_hard_work_starts_at_the_strongest_lane(tmp_path: Path) -> None:
    """The transparent difficulty signal sends a hard prompt to premium, and its evidence is on record."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await b.ask(HARD)
            assert got.headers["laneway-lane"] == "premium"
            assert b.home.requests == 0
            assert any(e.signal == "difficulty" for e in b.story().opening.signals.evidence)

    run(test)


def test_a_weak_answer_is_redone_once_by_the_stronger_lane(tmp_path: Path) -> None:
    """An empty answer escalates; the record has both attempts, the verdict and what each cost."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = ""
            got = await b.ask()
            assert got.json["choices"][0]["message"]["content"] == "from premium"
            assert got.headers["laneway-lane"] == "premium"
            story = b.story()
            assert [i.entry.why for i in story.intents] == ["first", "escalation"]
            assert story.outcome is not None
            first, second = story.outcome.entry.attempts
            assert first.verdict is not None
            assert (first.verdict.verdict, first.verdict.failed, second.lane) == ("escalate", ("empty",), "premium")
            assert story.outcome.entry.cost == pytest.approx(second.cost)

    run(test)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["500", "503", "429", "401", "reset-before", "garbage", "truncated", "reset-after",
                                   "redirect", "short-content-length", "error-event", "close-before"])  # fmt: skip
def test_an_outage_falls_back_only_where_the_class_allows(tmp_path: Path, fault: Any, stream: bool) -> None:
    """Internal work goes on to premium; restricted work is refused, and not one byte of it reaches premium."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = fault
            public = await b.ask("ordinary words", stream=stream)
            if fault in ("truncated", "reset-after", "short-content-length", "error-event") and public.status == 200:
                assert b"error" in public.body or public.headers["laneway-lane"] in ("premium", "home")
            else:
                assert (public.status, public.headers.get("laneway-lane")) == (200, "premium")
            reached = len(b.premium.seen)
            refused = await b.ask(CANARY, {"Laneway-Sensitivity": "restricted"}, stream=stream)
            assert len(b.premium.seen) == reached
            assert refused.status in (200, 503)
            if refused.status == 503:
                assert refused.error["code"] == "lanes_failed"
                assert "The next allowed lane takes over." in refused.error["message"]
                assert refused.error["laneway"]["rejected"][0]["lane"] == "premium"
            assert CANARY.encode() not in (refused.body if refused.status != 200 else b"")
            assert b.verified()

    run(test)


def test_a_hanging_lane_ends_at_its_deadline(tmp_path: Path) -> None:
    """A lane that never answers is left at the first-byte deadline, and the next one answers."""

    async def test() -> None:
        async with bench(tmp_path, first_byte="0.2s", total="3s") as b:
            b.home.fault = "hang"
            got = await b.ask(stream=True)
            assert (got.status, got.headers["laneway-lane"]) == (200, "premium")
            assert b.story().intents[1].entry.cause == "late"
            alone = await b.ask("x", {"Laneway-Sensitivity": "restricted"}, stream=True)
            assert (alone.status, alone.error["code"]) == (504, "lanes_failed")

    run(test)


def test_after_the_first_byte_a_failure_ends_the_stream(tmp_path: Path) -> None:
    """A stream that is live ends with an error event in the wire's form, never with another lane's text."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.premium.answer = Scripted(text="one two three four five six seven eight", delay=0.02)
            b.premium.fault = "reset-after"
            got = await b.ask(HARD, stream=True)
            assert got.status == 200
            assert got.headers["laneway-lane"] == "premium"
            last = [line for line in got.body.split(b"\n\n") if line][-1]
            assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "lanes_failed"
            assert b"[DONE]" not in got.body
            assert b.home.requests == 0

    run(test)


def test_a_live_stream_comes_as_it_is_made_and_a_gated_one_waits(tmp_path: Path) -> None:
    """Premium's stream, which nothing can change, arrives in pieces; home's, which may escalate, at once."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = b.premium.answer = Scripted(text="one two three four five six", delay=0.05)

            async def pieces(text: str) -> int:
                body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": text}]}
                async with b.session.post(f"{b.url}/chat/completions", json=body) as response:
                    return len([1 async for _ in response.content.iter_any()])

            assert await pieces(HARD) > 3
            assert await pieces("Hello there") <= 2

    run(test)


def test_a_gated_stream_is_kept_open_with_comments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the gate waits, comments keep the line; clients skip them, and the answer follows whole."""
    monkeypatch.setattr(gateway_module, "KEEP_ALIVE", 0.05)

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "slow-first-byte"
            b.home.seconds = 0.4
            got = await b.ask(stream=True)
            assert got.body.startswith(b": laneway is waiting")
            assert got.body.rstrip().endswith(b"data: [DONE]")

    run(test)


def test_a_weak_answer_with_no_stronger_lane_is_marked(tmp_path: Path) -> None:
    """Where the policy says `marked`, a restricted weak answer is released and says that it is weak."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = Scripted(text="half a sent", finish="length")
            got = await b.ask("x", {"Laneway-Sensitivity": "restricted"})
            assert (got.status, got.headers["laneway-verdict"]) == (200, "marked")
            assert b.premium.requests == 0

    run(test)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("on_weak", ["hold", "refuse"])
def test_a_weak_answer_is_withheld_where_the_policy_says_so(tmp_path: Path, on_weak: str, stream: bool) -> None:
    """`hold` and `refuse` keep a weak answer back, streamed or not, and the error names the gate."""

    async def test() -> None:
        async with bench(tmp_path, on_weak=on_weak) as b:
            b.home.answer = Scripted(text="half a sent", finish="length")
            got = await b.ask("x", {"Laneway-Sensitivity": "restricted"}, stream=stream)
            assert got.status == 403
            assert got.error["code"] == {"hold": "held_weak", "refuse": "refused_weak"}[on_weak]
            assert b"half a sent" not in got.body

    run(test)


def test_an_escalation_that_fails_leaves_the_weak_answer_marked(tmp_path: Path) -> None:
    """When the stronger lane is down, the weak answer ends as the policy says, and both are on record."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = Scripted(text="half a sent", finish="length")
            b.premium.fault = "500"
            got = await b.ask()
            assert (got.status, got.headers["laneway-lane"], got.headers["laneway-verdict"]) == (200, "home", "marked")

    run(test)


def test_an_identifier_raises_the_label(tmp_path: Path) -> None:
    """A hard prompt with a personal number stays at home, whatever the client says of it; only the kind is kept."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await b.ask(f"{HARD} It concerns {PERSONAL}.", {"Laneway-Sensitivity": "public"})
            assert got.headers["laneway-lane"] == "home"
            assert b.premium.requests == 0
            story = b.story()
            assert story.opening.signals.sensitivity == "restricted"
            assert any(e.kind == "se.personnummer" for e in story.opening.signals.evidence)
            raw = b.log.read_bytes() + b.log.with_name("laneway.db-wal").read_bytes()
            assert PERSONAL.encode() not in raw
            assert b"trade-offs" not in raw

    run(test)


def test_work_that_needs_approval_reaches_no_lane(tmp_path: Path) -> None:
    """Until there is a review queue, approval is a Hold whose error names the rule and its sentence."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await b.ask(model="flags")
            assert (got.status, got.error["code"]) == (403, "approval_required")
            assert "A lawyer reads risk flags before release." in got.error["message"]
            assert got.error["laneway"]["rule"] == "reviews[0]"
            assert got.headers["x-should-retry"] == "false"
            assert b.home.requests + b.premium.requests == 0
            assert b.story().outcome.entry.status == "held"  # type: ignore[union-attr]

    run(test)


def test_a_pinned_lane_is_behind_the_wall(tmp_path: Path) -> None:
    """`lane/premium` is called for internal work, and refused for restricted work with the wall's sentence."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            assert (await b.ask(model="lane/premium")).headers["laneway-lane"] == "premium"
            got = await b.ask("x", {"Laneway-Sensitivity": "restricted"}, model="lane/premium")
            assert (got.status, got.error["code"]) == (403, "no_lane")
            assert "its kind is premium" in got.error["message"]
            assert b.premium.requests == 1

    run(test)


def test_the_ceiling_caps_what_the_lane_may_write(tmp_path: Path) -> None:
    """Under a ceiling the lane gets a token limit, the client is told, and a lane too dear is refused."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await b.ask(HARD, {"Laneway-Ceiling": "0.01"})
            cap = int(got.headers["laneway-output-cap"])
            assert b.premium.seen[0].body["max_tokens"] == cap
            assert 0 < cap < 700
            dear = await b.ask("x", {"Laneway-Ceiling": "0"}, model="lane/premium")
            assert (dear.status, dear.error["code"]) == (403, "no_lane")

    run(test)


def test_no_client_header_or_label_reaches_a_lane(tmp_path: Path) -> None:
    """The client's key and labels stay here; the lane gets the lane's own key."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            labels = {"laneway-sensitivity": "public", "case": "7"}
            await b.ask(HARD, {"Authorization": "Bearer client-key", "X-Mine": "1"}, metadata=labels)
            seen = b.premium.seen[0]
            assert seen.headers["authorization"] == "Bearer sk-canary-key"
            assert "x-mine" not in seen.headers
            assert seen.body["metadata"] == {"case": "7"}

    run(test)


def test_a_client_that_goes_away_frees_the_lane(tmp_path: Path) -> None:
    """The lane's connection is closed and the record says cancelled."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.fault = "hang"
            asking = asyncio.create_task(b.ask())
            await b.home.arrived.wait()
            asking.cancel()
            await b.home.left.wait()
            while b.story().outcome is None:
                await asyncio.sleep(0.01)
            assert b.story().outcome.entry.status == "cancelled"  # type: ignore[union-attr]

    run(test)


def test_a_full_log_refuses_and_recovers(tmp_path: Path) -> None:
    """When the log cannot be written nothing is sent to any lane; when it can again, answers go on."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await b.ask()
            db = b.gateway.log._db
            ((pages,),) = db.execute("PRAGMA page_count").fetchall()
            ((usual,),) = db.execute("PRAGMA max_page_count").fetchall()
            db.execute(f"PRAGMA max_page_count={pages}").fetchall()
            while (got := await b.ask()).status == 200:  # until the last free page is used up
                pass
            assert got.error["code"] == "log_unavailable"
            assert b"from home" not in got.body
            before, again = b.home.requests, await b.ask()
            assert (again.status, again.error["code"]) == (503, "log_unavailable")
            assert b.home.requests == before
            async with b.session.get(b.url.removesuffix("/v1") + "/ready") as ready:
                assert ready.status == 503
            db.execute(f"PRAGMA max_page_count={usual}").fetchall()
            assert (await b.ask()).status == 200
            assert b.verified()

    run(test)


BAD: dict[str, tuple[bytes, int, str]] = {
    "malformed JSON": (b'{"model": "auto", "messages": [' + CANARY.encode(), 400, "invalid_json"),
    "no JSON": (CANARY.encode(), 400, "invalid_json"),
    "duplicate key": (b'{"model":"auto","model":"lane/premium","messages":[]}', 400, "duplicate_key"),
    "wrong type": (b'{"model":"auto","messages":"%s"}' % CANARY.encode(), 400, "invalid_type"),
    "no messages": (b'{"model":"auto"}', 400, "missing_field"),
    "deep nesting": (b'{"model":"auto","messages":' + b"[" * 1000 + b"]" * 1000 + b"}", 400, "invalid_json"),
    "unknown model": (b'{"model":"gpt-x","messages":[]}', 404, "model_not_found"),
    "a URL": (b'{"model":"auto","messages":[],"base_url":"http://169.254.169.254"}', 400, "client_destination"),
    "a key": (b'{"model":"auto","messages":[],"api_key":"sk-mine"}', 400, "client_destination"),
    "unknown label": (b'{"model":"auto","messages":[],"metadata":{"laneway-sensitivity":"secret"}}', 400, "unknown_label"),
    "a typo in a label": (b'{"model":"auto","messages":[],"metadata":{"laneway-sensitivty":"public"}}', 400, "unknown_header"),
    "10 MB": (b'{"model":"auto","messages":[{"role":"user","content":"' + b"x" * 10_000_000 + b'"}]}', 413, "body_too_long"),
    "a bad schema": (b'{"model":"auto","messages":[],"response_format":{"type":"json_schema","json_schema":{"name":"n",'
                     b'"schema":{"$ref":"http://127.0.0.1:9/x"}}}}', 400, "invalid_schema"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_a_clear_error_and_the_server_lives(tmp_path: Path, case: str) -> None:
    """Each bad body is a client error in the wire's shape with a stable code; no prompt text or secret is in it."""
    body, status, code = BAD[case]

    async def test() -> None:
        async with bench(tmp_path) as b:
            got = await b.post(body)
            assert (got.status, got.error["code"]) == (status, code)
            assert set(got.error) >= {"message", "type", "param", "code"}
            for secret in (CANARY, "sk-mine", "169.254", "xxxx"):
                assert secret not in got.body.decode()
            assert b.home.requests + b.premium.requests == 0
            assert (await b.ask()).status == 200

    run(test)


def test_a_label_below_the_floor_is_read_the_stricter_way(tmp_path: Path) -> None:
    """A client that calls a confidential workload public gets the workload's floor, and the record says so."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await b.ask(HARD, {"Laneway-Sensitivity": "public"}, model="contracts")
            opening = b.story().opening
            assert opening.signals.sensitivity == "confidential"
            assert any(e.kind == "label-below-floor" for e in opening.signals.evidence)
            assert b.premium.requests == 0

    run(test)


def test_browsers_of_other_sites_are_kept_out(tmp_path: Path) -> None:
    """A foreign Host (DNS rebinding), a form's content type and a repeated label are refused."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            assert (await b.ask(headers={"Host": "evil.example"})).error["code"] == "foreign_host"
            form = await b.post(b'{"model":"auto","messages":[]}', {"content-type": "text/plain"})
            assert (form.status, form.error["code"]) == (415, "not_json")
            async with b.session.get(f"{b.url}/nope") as response:
                assert (response.status, (await response.json())["error"]["code"]) == (404, "unknown_path")

    run(test)


async def _raw(b: Bench, head: str, body: bytes, *, chunked: bool = False) -> tuple[int, str]:
    """The status and error code that a head of one's own gets; a chunked body goes out once the head was read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(b.url.rsplit(":", 1)[1].partition("/")[0]))
    framing = "transfer-encoding: chunked\r\nexpect: 100-continue" if chunked else f"content-length: {len(body)}"
    writer.write(f"{head}\r\nconnection: close\r\n{framing}\r\n\r\n".encode())
    if chunked:
        await reader.readuntil(b"100 Continue\r\n\r\n")
    writer.write(body)
    headers, _, text = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    got = json.loads(text)
    return int(headers.split()[1]), got["error"]["code"] if "error" in got else ""


CHAT = "POST /v1/chat/completions HTTP/1.1"
JSON = "content-type: application/json"
PLAIN = b'{"model":"auto","messages":[{"role":"user","content":"Hello"}]}'


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (f"{CHAT}\r\nhost: localhost\r\n{JSON}", 200, ""),
        (f"{CHAT}\r\nhost: [::1]:4180\r\n{JSON}", 200, ""),
        (f"{CHAT.replace('1.1', '1.0')}\r\n{JSON}", 200, ""),
        (f"{CHAT}\r\n{JSON}", 403, "foreign_host"),
        (f"{CHAT}\r\nhost:\r\n{JSON}", 403, "foreign_host"),
        (f"{CHAT}\r\nhost: localhost:4180@evil.example\r\n{JSON}", 403, "foreign_host"),
        (f"{CHAT}\r\nhost: localhost:x\r\n{JSON}", 403, "foreign_host"),
        (f"{CHAT}\r\nhost: [::1\r\n{JSON}", 403, "foreign_host"),
        (f"{CHAT}\r\nhost: localhost\r\nhost: evil.example\r\n{JSON}", 400, "duplicate_header"),
        (f"{CHAT}\r\nhost: localhost\r\n{JSON}\r\ncontent-type: text/plain", 400, "duplicate_header"),
    ],
)  # fmt: skip
def test_one_host_and_one_content_type_are_needed(tmp_path: Path, head: str, status: int, code: str) -> None:
    """A request is answered only if it names this machine, once and in full, and says once that it is JSON."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            assert await _raw(b, head, PLAIN) == (status, code)
            assert b.home.requests == (1 if status == 200 else 0)

    run(test)


def test_a_label_where_nobody_reads_it_is_refused(tmp_path: Path) -> None:
    """In a query, in the body, after the body or under a name nearly right: the request does not pass as unlabelled."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            assert (await b.ask(headers={"X-Laneway-Sensitivity": "restricted"})).error["code"] == "unknown_header"
            assert (await b.ask(metadata={"Sensitivity": "restricted"})).error["code"] == "unknown_header"
            assert (await b.ask(sensitivity="restricted")).error["code"] == "misplaced_label"
            head = f"{CHAT}\r\nhost: localhost\r\n{JSON}"
            query = head.replace(" HTTP", "?sensitivity=restricted HTTP")
            assert await _raw(b, query, PLAIN) == (400, "misplaced_label")
            assert await _raw(b, f"{head}\r\ntrailer: laneway-sensitivity", PLAIN) == (400, "misplaced_label")
            chunk = b"%x\r\n%b\r\n0\r\n" % (len(PLAIN), PLAIN)
            trailer = b"laneway-sensitivity: restricted\r\n"
            assert await _raw(b, head, chunk + trailer + b"\r\n", chunked=True) == (400, "misplaced_label")
            assert await _raw(b, head, chunk + b"\r\n", chunked=True) == (200, "")
            assert b.premium.requests == 0

    run(test)


def test_a_picture_under_any_key_stays_at_home(tmp_path: Path) -> None:
    """A picture that is no content part makes a hard request restricted, and the record names the place."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            picture = {"role": "user", "content": HARD, "images": [CANARY]}
            got = await b.ask(messages=[picture])
            assert (got.status, got.headers["laneway-lane"]) == (200, "home")
            signals = b.story().opening.signals
            assert signals.sensitivity == "restricted"
            assert ("messages[0].images", "unreadable") in [(e.place, e.kind) for e in signals.evidence]
            assert b.premium.requests == 0

    run(test)


def test_a_request_of_very_many_pictures_makes_a_small_record(tmp_path: Path) -> None:
    """Unreadable places are counted beyond the first few."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await b.ask(messages=[{"role": "user", "content": [{"type": "x"}] * 200_000}])
            found = [e.place for e in b.story().opening.signals.evidence if e.kind == "unreadable"]
            assert (len(found), found[-1]) == (9, "and 199992 more")

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_stops_tells_those_who_wait(tmp_path: Path, stream: bool) -> None:
    """A request that the grace does not suffice for gets an error of ours, and its record is written."""

    async def test() -> None:
        async with ScriptedLane() as home, aiohttp.ClientSession() as session:
            home.fault = "hang"
            policy = parse(policy_text(home.url, home.url, total="30s", first_byte="30s"))
            ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            log = tmp_path / "laneway.db"
            options = app.Options(port=0, grace=1)
            serving = asyncio.create_task(app._serve(policy, log, options, lambda *ready_: ready.set_result(ready_[1])))
            body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": "Hello"}]}
            url = f"http://127.0.0.1:{await ready}/v1/chat/completions"
            asking = asyncio.create_task(session.post(url, json=body))
            await home.arrived.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            async with await asking as response:
                assert (response.status, (await response.json())["error"]["code"]) == (503, "stopping")
            await serving
            with closing(Reader.open(log)) as reader:
                story = reader.story("last")
            assert story is not None
            assert story.outcome is not None
            assert story.outcome.entry.status == "cancelled"

    run(test)


def test_models_lists_auto_workloads_and_lanes(tmp_path: Path) -> None:
    """`/v1/models` shows every name that a client may ask for; health and readiness answer."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            client = AsyncOpenAI(base_url=b.url, api_key="unused", max_retries=0)
            async with client:
                names = [model.id async for model in client.models.list()]
            assert names == ["auto", "contracts", "flags", "lane/home", "lane/premium"]
            for path in ("/health", "/ready"):
                async with b.session.get(b.url.removesuffix("/v1") + path) as response:
                    assert response.status == 200

    run(test)


def test_the_official_client_works_unmodified(tmp_path: Path) -> None:
    """With the openai client and no Laneway header: home, premium after escalation, home after an identifier."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            b.home.answer = lambda body: "" if "weak" in str(body) else "from home"
            async with AsyncOpenAI(base_url=b.url, api_key="unused", max_retries=0) as client:
                for text, lane in (("Hello", "home"), ("weak please", "premium"), (f"{HARD} {PERSONAL}", "home")):
                    messages: Any = [{"role": "user", "content": text}]
                    whole = await client.chat.completions.create(model="auto", messages=messages)
                    assert whole.choices[0].message.content == f"from {lane}"
                    stream = await client.chat.completions.create(model="auto", messages=messages, stream=True)
                    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
                    assert "".join(pieces) == f"from {lane}"
                with pytest.raises(APIStatusError) as refused:
                    await client.chat.completions.create(model="flags", messages=[{"role": "user", "content": "x"}])
                assert refused.value.status_code == 403
                b.premium.answer = Scripted(text="one two three four five six", delay=0.02)
                b.premium.fault = "reset-after"
                hard: Any = [{"role": "user", "content": HARD}]
                broken = await client.chat.completions.create(model="auto", messages=hard, stream=True)
                with pytest.raises(APIError):
                    async for _ in broken:
                        pass

    run(test)


def test_usage_is_sent_on_only_where_the_client_asked(tmp_path: Path) -> None:
    """Laneway asks lanes for usage to know the cost; a client that did not ask does not see the extra event."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            plain = await b.ask(stream=True)
            asked = await b.ask(stream=True, stream_options={"include_usage": True})
            assert b'"choices":[]' not in plain.body.replace(b" ", b"")
            assert b'"choices":[]' in asked.body.replace(b" ", b"")

    run(test)


def test_every_answer_and_refusal_is_on_record_with_its_policy(tmp_path: Path) -> None:
    """One entry per attempt plus the outcome; the policy's text is kept by hash; a recorded Route can be read."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            for model in ("auto", "flags", "lane/premium"):
                await b.ask(model=model)
            with closing(Reader.open(b.log)) as reader:
                stories = list(reader.stories())
                assert reader.policy_text(b.gateway.active.policy.hash) == b.gateway.active.policy.text
            assert [s.outcome.entry.status for s in stories if s.outcome] == ["answered", "held", "answered"]
            assert isinstance(stories[0].opening.decision, Route)

    run(test)


async def _twice(b: Bench) -> None:
    await asyncio.gather(*(b.ask() for _ in range(40)))


def test_many_at_once_are_all_answered_and_chained(tmp_path: Path) -> None:
    """Forty concurrent requests are answered, recorded once each, and the chain holds."""

    async def test() -> None:
        async with bench(tmp_path) as b:
            await _twice(b)
            with closing(Reader.open(b.log)) as reader:
                assert len(list(reader.stories())) == 40
            assert b.verified()

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_a_lane_that_answers_as_another_model_is_noticed_on_its_first_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    """It is warned of once, with the decision, and is on record; `reports` in the policy would say that it is meant."""

    async def check() -> None:
        async with bench(tmp_path) as b:
            await b.ask(stream=stream)
            assert caplog.messages == []
            b.home.model = "cheaper-model"
            for _ in range(2):
                got = await b.ask(stream=stream)
            assert len(caplog.messages) == 1
            assert caplog.messages[0].startswith("lane home answers as cheaper-model, not as home-model (decision ")
            outcome = b.story(got.headers["laneway-decision"]).outcome
            assert outcome is not None
            (attempt,) = outcome.entry.attempts
            assert (attempt.model, attempt.other_than) == ("cheaper-model", "home-model")
            assert "answered as cheaper-model, not as home-model" in attempt_line(attempt, "EUR")
            made, _, _ = read(b.log, "all", None, datetime.datetime.now(datetime.UTC))
            (row,) = made.other_models
            assert (row.lane, row.cause, row.times) == ("home", "as cheaper-model, not home-model", 2)

    run(check)
