"""HttpProvider against a ScriptedLane: real sockets, under uvloop, every fault."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
import uvloop

from laneway.errors import LaneError
from laneway.lane import Lane
from laneway.providers.http import MOST_BYTES, HttpProvider
from laneway.providers.scripted import FAULTS, Fault, Scripted, ScriptedLane

T = TypeVar("T")

KEY = "sk-canary-key"
PROMPT = "canary-prompt-text"
TEXT = "One two three four five six seven eight."


def run(main: Coroutine[object, object, T]) -> T:
    """Run under the gateway's own event loop; nothing here may take long."""
    return uvloop.run(asyncio.wait_for(main, 20))


def lane_at(url: str, key: str | None = "env:LANE_KEY") -> Lane:
    return Lane(name="far", kind="premium", provider="openai", url=url, model="m", key=key, private_address=True)


def provider_of(lane: Lane) -> HttpProvider:
    return HttpProvider({lane.name: lane}, {"LANE_KEY": KEY})


def body_of(*, stream: bool, prompt: str = PROMPT) -> bytes:
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": "m", "messages": messages, "stream": stream}).encode()


@dataclass
class Got:
    status: int | None = None
    body: bytearray = field(default_factory=bytearray)
    error: LaneError | None = None


async def ask(provider: HttpProvider, lane: Lane, body: bytes, *, stream: bool = False) -> Got:
    got = Got()
    try:
        async with provider.call(lane, body, stream=stream) as reply:
            got.status = reply.status
            async for chunk in reply.chunks():
                got.body += chunk
    except LaneError as error:
        got.error = error
    return got


async def ask_once(lane: Lane, *, stream: bool = False) -> Got:
    provider = provider_of(lane)
    try:
        return await ask(provider, lane, body_of(stream=stream), stream=stream)
    finally:
        await provider.close()


async def ask_scripted(fault: Fault | None, *, stream: bool) -> Got:
    async with ScriptedLane(answer=TEXT) as far:
        far.fault, far.seconds = fault, 0.0002
        return await ask_once(lane_at(far.url), stream=stream)


def failure_of(got: Got) -> LaneError:
    assert got.error is not None
    return got.error


# -- every fault -----------------------------------------------------------------------------------------

EXPECTED: dict[Fault, tuple[str, str, bool]] = {
    "400": ("invalid", "invalid", False),
    "401": ("credentials", "error", False),
    "404": ("not-found", "error", False),
    "418": ("unexpected-status", "error", False),
    "429": ("rate-limited", "rate-limit", False),
    "500": ("server-error", "error", False),
    "503": ("server-error", "error", True),
    "redirect": ("redirected", "error", False),
    "close-before": ("disconnected", "error", True),
    "reset-before": ("disconnected", "error", True),
    "garbage": ("garbage", "error", False),
}
BROKEN: tuple[Fault, ...] = ("reset-after", "bad-chunk", "short-body")
ANSWERED: tuple[Fault, ...] = (
    "slow-first-byte", "drip", "truncated", "empty", "cut-off", "error-event",
    "long-body", "answers-twice", "refusal", "content-filter", "other-model",
)  # fmt: skip
streams = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


def test_every_fault_has_an_expected_result() -> None:
    """No scripted fault is left without a test of what it becomes."""
    assert {*EXPECTED, *BROKEN, *ANSWERED, "hang", "endless", "endless-slow", "stays-open"} == set(FAULTS)


@streams
@pytest.mark.parametrize("fault", EXPECTED)
def test_fault_before_the_answer_has_its_code(fault: Fault, stream: bool) -> None:
    """A fault before the answer's first byte becomes a LaneError with its stable code, cause and retry."""
    error = failure_of(run(ask_scripted(fault, stream=stream)))
    assert (error.code, error.cause, error.retry) == EXPECTED[fault]
    assert not error.sent
    assert "`far`" in str(error)


@streams
@pytest.mark.parametrize("fault", BROKEN)
def test_fault_inside_the_answer_is_broken(fault: Fault, stream: bool) -> None:
    """An answer that breaks off is `broken`; it may be asked again only if none of it was passed on."""
    got = run(ask_scripted(fault, stream=stream))
    error = failure_of(got)
    assert (error.code, error.cause, got.status) == ("broken", "error", 200)
    assert error.sent == bool(got.body)
    assert error.retry != error.sent


@streams
@pytest.mark.parametrize("fault", ["reset-after", "bad-chunk"])
def test_first_bytes_before_the_break_are_sent(fault: Fault, stream: bool) -> None:
    """Where the answer's first bytes did arrive before the break, the error says so."""
    error = failure_of(run(ask_scripted(fault, stream=stream)))
    assert (error.code, error.sent, error.retry) == ("broken", True, False)


@streams
@pytest.mark.parametrize("fault", [None, *ANSWERED])
def test_whole_http_answers_pass_whatever_they_say(fault: Fault | None, stream: bool) -> None:
    """An answer complete as HTTP is passed on byte for byte: what it is worth is for codec and gate."""
    got = run(ask_scripted(fault, stream=stream))
    assert (got.error, got.status) == (None, 200)
    if stream and fault in (None, "slow-first-byte", "drip", "cut-off"):
        words = TEXT if fault != "cut-off" else "One two three four"
        assert "".join(deltas(got.body)) == words
        assert got.body.endswith(b"data: [DONE]\n\n")
    elif fault == "truncated":
        assert not got.body.endswith((b"[DONE]\n\n", b"}"))
    elif fault == "error-event":
        assert b'"server_error"' in got.body
    elif not stream and fault == "empty":
        assert json.loads(got.body)["choices"][0]["message"]["content"] == ""


def deltas(stream: bytearray) -> Iterator[str]:
    for line in stream.decode().split("\n\n"):
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                yield choice["delta"].get("content", "")


@streams
def test_endless_answer_is_too_large(stream: bool) -> None:
    """An answer without end is cut at its bound, and the lane notices."""

    async def main() -> tuple[Got, int]:
        async with ScriptedLane() as far:
            far.fault = "endless"
            got = await ask_once(lane_at(far.url), stream=stream)
            await far.left.wait()
            return got, far.disconnects

    got, disconnects = run(main())
    assert failure_of(got).code == "too-large"
    assert len(got.body) <= MOST_BYTES
    assert disconnects == 1


# -- cancellation ----------------------------------------------------------------------------------------


@streams
def test_cancelling_while_waiting_hangs_up(stream: bool) -> None:
    """Cancelling a call that waits for the answer's head closes the connection at once."""

    async def main() -> int:
        async with ScriptedLane() as far:
            far.fault = "hang"
            lane = lane_at(far.url)
            provider = provider_of(lane)
            call = asyncio.create_task(ask(provider, lane, body_of(stream=stream), stream=stream))
            await far.arrived.wait()
            call.cancel()
            await asyncio.wait([call])
            assert call.cancelled()
            await far.left.wait()
            await provider.close()
            return far.disconnects

    assert run(main()) == 1


def test_cancelling_in_mid_answer_hangs_up() -> None:
    """Cancelling a stream under way closes the connection at once."""

    async def main() -> int:
        async with ScriptedLane(answer=Scripted(text=TEXT, delay=60)) as far:
            lane = lane_at(far.url)
            provider = provider_of(lane)
            begun = asyncio.Event()

            async def read() -> None:
                async with provider.call(lane, body_of(stream=True), stream=True) as reply:
                    async for _ in reply.chunks():
                        begun.set()

            call = asyncio.create_task(read())
            await begun.wait()
            call.cancel()
            await asyncio.wait([call])
            await far.left.wait()
            await provider.close()
            return far.disconnects

    assert run(main()) == 1


def test_leaving_early_hangs_up() -> None:
    """Leaving the call before the answer's end closes the connection."""

    async def main() -> int:
        async with ScriptedLane(answer=Scripted(text=TEXT, delay=60)) as far:
            lane = lane_at(far.url)
            provider = provider_of(lane)
            async with provider.call(lane, body_of(stream=True), stream=True):
                pass
            await far.left.wait()
            await provider.close()
            return far.disconnects

    assert run(main()) == 1


def test_closing_ends_a_call_under_way() -> None:
    """Closing the provider fails the calls that still wait, as LaneErrors."""

    async def main() -> Got:
        async with ScriptedLane() as far:
            far.fault = "hang"
            lane = lane_at(far.url)
            provider = provider_of(lane)
            call = asyncio.create_task(ask(provider, lane, body_of(stream=False)))
            await far.arrived.wait()
            await provider.close()
            return await call

    assert failure_of(run(main())).code == "disconnected"


# -- what goes out ---------------------------------------------------------------------------------------


def test_only_our_own_headers_go_out() -> None:
    """A lane sees the key, the content type and what HTTP needs; nothing of client, gateway or library."""

    async def main() -> ScriptedLane:
        async with ScriptedLane() as far:
            await ask_once(lane_at(far.url))
            await ask_once(lane_at(far.url, key=None), stream=True)
            return far

    first, second = run(main()).seen
    assert first.headers.keys() == {
        "host", "authorization", "content-type", "content-length", "accept", "accept-encoding",
    }  # fmt: skip
    assert first.headers["authorization"] == f"Bearer {KEY}"
    assert first.headers["accept-encoding"] == "identity"
    assert (first.headers["accept"], second.headers["accept"]) == ("application/json", "text/event-stream")
    assert "authorization" not in second.headers
    assert (first.method, first.path, first.raw) == ("POST", "/v1/chat/completions", body_of(stream=False))


def test_no_cookie_is_kept() -> None:
    """What a lane asks us to remember is forgotten, on the same connection and on the next."""
    body, heads = body_of(stream=False), list[bytes]()

    async def baker(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(len(body))
                writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: session=s; Path=/\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(baker, "127.0.0.1", 0) as server:
            lane = lane_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
            provider = provider_of(lane)
            for _ in range(2):
                assert (await ask(provider, lane, body)).status == 200
            await provider.close()
            assert (await ask_once(lane)).status == 200

    run(main())
    assert len(heads) == 3
    assert not any(b"cookie" in head.lower() for head in heads)


def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy that the environment names gets to see a prompt."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert run(ask_scripted(None, stream=False)).error is None


def test_a_redirect_is_not_followed() -> None:
    """A lane cannot send a prompt elsewhere: the place it points to is never called."""

    async def main() -> int:
        async with ScriptedLane() as far:
            far.fault = "redirect"
            await ask_once(lane_at(far.url))
            return far.requests

    assert run(main()) == 1


def test_a_large_body_arrives_whole() -> None:
    """A prompt of several megabytes is sent in pieces, with its length stated, and without a warning."""
    body = body_of(stream=False, prompt="x" * 3_000_000)

    async def main() -> tuple[Got, ScriptedLane]:
        async with ScriptedLane() as far:
            lane = lane_at(far.url)
            provider = provider_of(lane)
            got = await ask(provider, lane, body)
            await provider.close()
            return got, far

    got, far = run(main())
    assert got.status == 200
    assert far.seen[0].raw == body
    assert "transfer-encoding" not in far.seen[0].headers


@streams
def test_connections_are_kept(stream: bool) -> None:
    """Calls one after the other share one connection, also after an error of the lane's."""

    async def main() -> tuple[int, int]:
        async with ScriptedLane() as far:
            lane = lane_at(far.url + "/")
            provider = provider_of(lane)
            for fault in (None, "400", None, None):
                far.fault = fault
                await ask(provider, lane, body_of(stream=stream), stream=stream)
            await provider.close()
            return far.requests, far.connections

    assert run(main()) == (4, 1)


@pytest.mark.parametrize("ending", ["model.sock/v1", "model.sock/v1/"])
def test_a_unix_socket_is_called(tmp_path: Path, ending: str) -> None:
    """A lane may be a Unix socket, followed by a base path."""

    async def main() -> tuple[Got, ScriptedLane]:
        async with ScriptedLane(path=f"{tmp_path}/model.sock") as far:
            return await ask_once(lane_at(f"unix:{tmp_path}/{ending}", key=None)), far

    got, far = run(main())
    assert got.status == 200
    assert far.seen[0].path == "/v1/chat/completions"


# -- lanes that cannot be reached ------------------------------------------------------------------------


def test_a_refused_connection_is_unreachable() -> None:
    """Where nothing listens, the lane is unreachable and may be asked again."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        error = failure_of(run(ask_once(lane_at(url))))
    assert (error.code, error.retry, error.sent) == ("unreachable", True, False)


def test_a_missing_socket_is_unreachable(tmp_path: Path) -> None:
    """Where the Unix socket is not there, the lane is unreachable and may be asked again."""
    error = failure_of(run(ask_once(lane_at(f"unix:{tmp_path}/none.sock", key=None))))
    assert (error.code, error.retry) == ("unreachable", True)


@pytest.mark.parametrize("host", ["x" * 64 + ".invalid", "[::1", "a b"])
def test_an_impossible_address_is_unreachable(host: str) -> None:
    """An address that can never work is unreachable, and is not tried again."""
    error = failure_of(run(ask_once(lane_at(f"http://{host}/v1"))))
    assert error.code == "unreachable"
    assert host not in str(error)


def test_a_lane_that_never_accepts_times_out() -> None:
    """A lane that does not complete the connection fails within seconds, and may be asked again."""

    async def main() -> Got:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            try:
                return await ask_once(lane_at(f"http://127.0.0.1:{full.getsockname()[1]}/v1"))
            finally:
                for one in waiting:
                    one.close()

    error = failure_of(run(main()))
    assert (error.code, error.retry) == ("connect-timeout", True)


def test_a_lane_without_tls_fails_as_tls() -> None:
    """An https lane that does not speak TLS is never spoken to in the clear."""

    heard = bytearray()

    async def clear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.read(2**16))
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    async def main() -> Got:
        async with await asyncio.start_server(clear, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await ask_once(lane_at(f"https://127.0.0.1:{port}/v1"))

    error = failure_of(run(main()))
    assert (error.code, error.retry) == ("tls", False)
    assert KEY.encode() not in heard


# -- keys and secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("env:UNSET", "environment variable UNSET is not set"),
        ("env:EMPTY", "environment variable EMPTY is empty"),
        ("env:CRLF", "environment variable CRLF holds what no header may"),
        ("file:/nonexistent/key", "file /nonexistent/key cannot be read (FileNotFoundError)"),
        ("file:/dev/null", "file /dev/null is empty"),
        (KEY, "key is neither `env:NAME` nor `file:/path`"),
    ],
)
def test_a_lane_without_its_key_is_closed(key: str, says: str) -> None:
    """A key that cannot be had closes its lane, naming where it was sought and never a value."""
    environ = {"EMPTY": " ", "CRLF": f"{KEY}\r\nX-Evil: 1"}
    lane = lane_at("http://127.0.0.1:9/v1", key=key)
    provider = HttpProvider({"far": lane}, environ)
    error = failure_of(run(ask(provider, lane, b"{}")))
    assert provider.closed == {"far": f"lane `far` is closed: its {says}"}
    assert (error.code, str(error)) == ("credentials", provider.closed["far"])


def test_a_key_is_read_from_its_file(tmp_path: Path) -> None:
    """A key file's surrounding white space is not part of the key."""
    (tmp_path / "key").write_text(f"{KEY}\n")

    async def main() -> ScriptedLane:
        async with ScriptedLane() as far:
            await ask_once(lane_at(far.url, key=f"file:{tmp_path}/key"))
            return far

    assert run(main()).seen[0].headers["authorization"] == f"Bearer {KEY}"


def told(error: BaseException | None) -> Iterator[str]:
    """Everything that a log could say of an error, and of the errors behind it."""
    while error is not None:
        yield repr(error)
        yield repr(vars(error))
        yield "".join(traceback.format_exception(error))
        error = error.__cause__ or error.__context__


@streams
@pytest.mark.parametrize("fault", [*EXPECTED, "reset-after", "short-body"])
def test_no_error_tells_a_secret(fault: Fault, stream: bool) -> None:
    """No error holds key, prompt or address, though the lane quotes them all."""
    text = "\n".join(told(run(ask_scripted(fault, stream=stream)).error))
    assert "LaneError" in text
    for secret in (KEY, PROMPT, "127.0.0.1", "Bearer"):
        assert secret not in text


def test_an_invalid_request_names_its_kind_only() -> None:
    """Of a lane's error body only type and code are told, and only where they are words that are known."""
    error = failure_of(run(ask_scripted("400", stream=False)))
    assert str(error) == "lane `far` calls the request invalid (400, invalid_request_error)"


def test_a_rate_limit_tells_how_long() -> None:
    """The seconds that a lane asks to wait are told."""
    error = failure_of(run(ask_scripted("429", stream=False)))
    assert str(error) == "lane `far` limits its rate (429); it asks to wait 1 s"


# -- the scripted lane itself ----------------------------------------------------------------------------


def test_the_scripted_lane_speaks_chat() -> None:
    """It answers by callable, with tool calls and usage, whole and as a stream."""
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}

    def answer(body: dict[str, object]) -> Scripted:
        return Scripted(text="", finish="tool_calls", tool_calls=(call,), usage=(3, 4), model=f"{body['model']}-1")

    async def main() -> tuple[Got, Got]:
        async with ScriptedLane(answer=answer) as far:
            lane = lane_at(far.url)
            provider = provider_of(lane)
            asked = json.dumps({"model": "m", "stream": True, "stream_options": {"include_usage": True}})
            whole = await ask(provider, lane, body_of(stream=False))
            parts = await ask(provider, lane, asked.encode(), stream=True)
            await provider.close()
            return whole, parts

    whole, parts = run(main())
    answered = json.loads(whole.body)
    assert answered["model"] == "m-1"
    assert answered["choices"][0]["message"] == {"role": "assistant", "content": None, "tool_calls": [call]}
    assert answered["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert b'"tool_calls":[{"index":0,"id":"c1"' in parts.body
    assert b'"choices":[],"usage":{"prompt_tokens":3' in parts.body


def test_the_scripted_lane_runs_as_a_process() -> None:
    """As a process it prints its URL, answers, lists its model, and ends cleanly when told to."""
    command = [sys.executable, "-m", "laneway.providers.scripted", "--port", "0", "--model", "small"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ}) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]

        async def main() -> tuple[Got, object, object]:
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{url}/models") as reply:
                    models = await reply.json()
                async with session.get(url.replace("/v1", "/health")) as reply:
                    health = await reply.json()
            return await ask_once(lane_at(url)), models["data"][0]["id"], health

        try:
            got, model, health = run(main())
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert (got.status, model, health) == (200, "small", {"status": "ok"})
