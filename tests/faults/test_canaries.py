"""Canaries: secrets go through every error path, and come out nowhere that they do not belong.

Keys of lanes, a client's own key, words of a prompt, a personal number, an answer and an odd URL are pushed through
failing lanes, refused requests, a full disk and every command. Then everything that was sent, printed and stored is
searched for them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import re
import resource
import signal
import sys
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.faults.test_review_canaries import CODES
from tests.harness import bench, policy_text, run

from laneway.cli import main
from laneway.policy_file import parse
from laneway.providers.scripted import FAULTS, Fault, Scripted, ScriptedLane
from laneway.server.api import MAX_BODY

ENV_KEY, FILE_KEY, CLIENT_KEY = "sk-env-kanariekulla", "sk-file-gransangare", "sk-client-bofinkhona"
PROMPT, ANSWER, PLACE, NUMBER = "svartvitflugsnappare", "rodstrupesangare", "talgoxeholk", "811228-9874"
INLINE = "sk-inline-nattskarra"
CANARIES = (ENV_KEY, FILE_KEY, CLIENT_KEY, PROMPT, ANSWER, PLACE, NUMBER, NUMBER.replace("-", ""), INLINE)
QUICK = {"first_byte": "0.3s", "total": "0.7s"}
REASONS = Path(__file__).parents[2] / "docs" / "reasons.md"


def disguises(secret: str) -> set[bytes]:
    """A secret as it is, and as other parts of a program would write it."""
    plain = secret.encode()
    encoded = base64.b64encode(plain + b"x" * (-len(plain) % 3))[: len(plain) // 3 * 4]
    return {plain, plain.lower(), plain.upper(), plain[::-1], encoded, plain.hex().encode(),
            urllib.parse.quote(secret, safe="").encode(), plain[:12], plain[-12:]}  # fmt: skip


def hits(data: bytes, secrets: list[str], allowed: tuple[str, ...]) -> list[str]:
    """The canaries that are in `data`."""
    return [c for c in secrets if c not in allowed and any(found in data for found in disguises(c))]


class Tried:
    """The error paths so far, and where a canary was heard."""

    def __init__(self) -> None:
        self.secrets = list(CANARIES)
        self.paths: list[str] = []
        self.codes: set[str] = set()
        self.heard: list[tuple[str, list[str]]] = []

    def path(self, name: str, data: bytes, *, allowed: tuple[str, ...] = ()) -> None:
        """One error path, and what came out of it."""
        self.paths.append(name)
        self.codes |= {code.decode() for code in re.findall(rb'"code": ?"([a-z_]+)"', data)}
        self.sink(name, data, allowed=allowed)

    def sink(self, name: str, data: bytes, *, allowed: tuple[str, ...] = ()) -> None:
        """A place that must hold none."""
        found = hits(data, self.secrets, allowed)
        if found:
            self.heard.append((name, found))


def policy(home: str, premium: str, key: Path) -> str:
    """The bench's policy, where both lanes have keys and restricted data has a workload of its own."""
    text = policy_text(home, premium, on_weak="marked", **QUICK)
    return text.replace("model: home-model,", f'model: home-model, key: "file:{key}",')


def chat(text: str, **more: object) -> dict[str, object]:
    """A body that says the canaries."""
    return {"model": "auto", "messages": [{"role": "user", "content": f"{PROMPT} {text}"}]} | more


def http(
    body: object = None, *, method: str = "POST", path: str = "/v1/chat/completions", headers: str = "",
    host: str = "localhost", kind: str = "application/json", length: int | None = None,
) -> bytes:  # fmt: skip
    """A request's bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {CLIENT_KEY}\r\nX-Api-Key: {CLIENT_KEY}\r\n"
            f"Cookie: s={CLIENT_KEY}\r\nContent-Type: {kind}\r\nConnection: close\r\n{headers}")  # fmt: skip
    return f"{head}Content-Length: {len(data) if length is None else length}\r\n\r\n".encode() + data


async def sent(url: str, data: bytes) -> bytes:
    """All that comes back for some bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urllib.parse.urlsplit(url).port)
    writer.write(data)
    writer.write_eof() if b"Content-Length: 999\r\n" in data else None
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


SAID = chat("please")

REFUSED: dict[str, bytes] = {
    "no JSON": http(f'{{"messages": "{PROMPT} {NUMBER}'.encode()),
    "no UTF-8": http(f'{{"messages": "{PROMPT}\xff"}}'.encode("latin-1")),
    "a number": http(f"{PROMPT}".encode()),
    "too deep": http(f'{{"a": {"[" * 99}"{PROMPT}"{"]" * 99}}}'.encode()),
    "a list": http([PROMPT]),
    "a type": http({"model": "auto", "messages": f"{PROMPT} {NUMBER}"}),
    "a type inside": http({"model": "auto", "messages": [{"role": "user", "content": {"text": PROMPT}}]}),
    "a role": http({"model": "auto", "messages": [{"role": [PROMPT], "content": "x"}]}),
    "a number's type": http(SAID | {"max_tokens": PROMPT}),
    "no messages": http({"model": "auto", "prompt": PROMPT}),
    "no model": http({"messages": SAID["messages"]}),
    "a key twice": http(f'{{"model": "auto", "messages": [{{"role": "user", "content": "{PROMPT}", "content": "{PROMPT}"}}]}}'.encode()),
    "a secret key twice": http(f'{{"model": "auto", "{PROMPT}": 1, "{PROMPT}": 2, "messages": []}}'.encode()),
    "n": http(SAID | {"n": 2}),
    "store": http(SAID | {"store": True}),
    "a hosted tool": http(SAID | {"tools": [{"type": "web_search", "search": PROMPT}]}),
    "an address": http(SAID | {"base_url": f"https://{PLACE}.example/{CLIENT_KEY}"}),
    "an address inside": http(SAID | {"extra_body": {PROMPT: {"api_key": CLIENT_KEY}}}),
    "an image by link": http(chat("x", messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"https://u:{CLIENT_KEY}@{PLACE}.example/?q={NUMBER}"}}]}])),
    "a label too long": http(SAID, headers=f"Laneway-Team: {'x' * 101}\r\n"),
    "an unknown header": http(SAID, headers=f"X-Laneway-Sensitivity: {PROMPT}\r\n"),
    "a label in the body": http(SAID | {"laneway-sensitivity": PROMPT}),
    "a query": http(SAID, path=f"/v1/chat/completions?key={CLIENT_KEY}&{PLACE}={NUMBER}"),
    "an unknown label": http(SAID, headers="Laneway-Sensitivity: sekret\r\n"),
    "labels that differ": http(SAID | {"metadata": {"laneway-team": PROMPT}}, headers="Laneway-Team: other\r\n"),
    "a header twice": http(SAID, headers=f"Laneway-Team: {PROMPT}\r\nLaneway-Team: {PROMPT}\r\n"),
    "a schema": http(SAID | {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": PROMPT}}}}),
    "a schema elsewhere": http(SAID | {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": f"https://{PLACE}.example/{CLIENT_KEY}"}}}}),
    "half a body": http(f'{{"messages": "{PROMPT}'.encode(), length=999),
    "a foreign host": http(SAID, host=f"{PLACE}.example"),
    "a malformed host": http(SAID, host=f"user:{CLIENT_KEY}@localhost"),
    "an unknown model": http(SAID | {"model": "gpt-nowhere"}),
    "an unknown path": http(SAID, path=f"/v1/{PLACE}/%2e%2e/{CLIENT_KEY};a=b?{NUMBER}"),
    "an unknown method": http(SAID, method="PATCH"),
    "GET": http(SAID, method="GET", path=f"/v1/chat/completions?{PLACE}={CLIENT_KEY}"),
    "too long": http(SAID, length=MAX_BODY + 1),
    "a form": http(f"q={PROMPT}".encode(), kind="application/x-www-form-urlencoded"),
    "no lane": http(chat(NUMBER, model="lane/premium")),
    "approval": http(chat("x", model="flags")),
    "no HTTP": f"{PROMPT} {CLIENT_KEY}\r\n\r\n".encode(),
    "a bad header": f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n{CLIENT_KEY}\r\n\r\n".encode(),
    "two lengths": http(SAID, headers=f"Content-Length: 7\r\nX: {PROMPT}\r\n"),
    "bad chunks": f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{PROMPT}\r\n".encode(),
}  # fmt: skip
"""Requests that Laneway refuses, each holding canaries. A name of a thing of the policy may be shown, so none is one."""


@asynccontextmanager
async def served(directory: Path, home: ScriptedLane, premium: ScriptedLane) -> AsyncIterator[tuple[str, int]]:
    """The real server over two lanes, with checkpoints; its output goes to files. The address, and the process."""
    key = directory / "lane.key"
    key.write_text(FILE_KEY)
    (directory / "laneway.yaml").write_text(policy(home.url, premium.url, key))
    CliRunner().invoke(main, ["log", "key", str(directory / "sign")])
    arguments = ["-m", "laneway.cli", "serve", "--policy", str(directory / "laneway.yaml"), "--port", "0", "--json",
                 "--checkpoint", str(directory / "elsewhere"), "--checkpoint-key", str(directory / "sign"),
                 "--checkpoint-every", "0.2"]  # fmt: skip
    with (directory / "stdout").open("wb") as out, (directory / "stderr").open("wb") as err:
        server = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=out, stderr=err, env=os.environ | {"PREMIUM_KEY": ENV_KEY}
        )
        try:
            while b"\n}" not in (printed := (directory / "stdout").read_bytes()):
                assert server.returncode is None, (directory / "stderr").read_text()
                await asyncio.sleep(0.05)
            yield json.loads(printed)["url"], server.pid
            server.send_signal(signal.SIGTERM)
            await asyncio.wait_for(server.wait(), 30)
        finally:
            if server.returncode is None:
                server.kill()
                await server.wait()


_QUOTING: tuple[Fault | None, ...] = (None, "400", "418")


UNTRIED = {"disconnected", "slow_reader", "body_too_slow", "overloaded"} | CODES
"""One has no answer to look into, others take half a minute or a thousand clients, and the rest take reviewers: tests
of their own try them."""


def word(decision: str, reason: str = "wrong", user: str = "anna", *, accepted: bool = False) -> bytes:
    """A request that says what somebody thinks of an answer."""
    said = {"decision": decision, "accepted": accepted, "reason": reason, "user": user}
    return http(said, path="/v1/feedback")


async def through_feedback(tried: Tried, url: str) -> None:
    """Words on answers that are refused: of no answer, too long, with a number in them, one too many."""
    good = decision_of(await sent(url, http(chat("please", model="lane/home"))))
    held = decision_of(await sent(url, http(chat("x", model="flags"))))
    for name, data in {
        "feedback on nothing": word(PROMPT), "feedback on what was held": word(held),
        "a reason of two lines": word(good, f"{PROMPT}\n{PROMPT}"), "a number as the reason": word(good, NUMBER),
        "an unknown field": http({PROMPT: 1}, path="/v1/feedback"), "a number as the user": word(good, user=NUMBER),
        "a label on feedback": http({}, path="/v1/feedback", headers=f"Laneway-Team: {PROMPT}\r\n"),
    }.items():  # fmt: skip
        tried.path(name, await sent(url, data))
    for n in range(20):
        assert b" 200 OK" in (await sent(url, word(good, user=f"u{n}")))[:20]
    tried.path("one word too many", await sent(url, word(good, user="another", accepted=True)))


async def through_levers(tried: Tried, url: str) -> None:
    """Levers that are refused: of no kind, on nothing, without a name, for a reason that holds a number."""
    good: dict[str, object] = {"action": "close", "target": "lane:home", "by": "anna", "why": "maintenance"}
    changes: dict[str, dict[str, object]] = {
        "no such lever": {"action": "shut"}, "no such lane": {"target": "lane:hme"},
        "no such target": {"target": "house"}, "nobody": {"by": ""}, "a number as the reason": {"why": NUMBER},
        "a reason of two lines": {"why": f"{PROMPT}\n{PROMPT}"}, "an unknown field of a lever": {PROMPT: 1},
    }  # fmt: skip
    for name, change in changes.items():
        tried.path(name, await sent(url, http(good | change, path="/v1/levers")))


def decision_of(answer: bytes) -> str:
    """The decision's id in a response."""
    found = re.search(rb"(?i)laneway-decision: (\S+)", answer)
    assert found, answer[:200]
    return found[1].decode()


async def answering(url: str) -> None:
    """Wait until both lanes are called again and answer, so that no breaker or pause spares them the next fault."""
    async with asyncio.timeout(30):
        for model in ("lane/home", "lane/premium"):
            while b" 200 OK" not in (await sent(url, http(chat("please", model=model))))[:20]:
                await asyncio.sleep(0.05)


async def through_lanes(tried: Tried, url: str, home: ScriptedLane, premium: ScriptedLane) -> None:
    """Every fault of a lane, of each lane alone and of both, streamed and not."""
    for fault in FAULTS:
        for model, lanes in {"lane/home": [home], "lane/premium": [premium], "auto": [home, premium]}.items():
            for lane in lanes:
                lane.fault = fault
            for stream in (False, True):
                text = NUMBER if model == "lane/home" else "please"
                data = await sent(url, http(chat(text, model=model, stream=stream)))
                partial = stream or b" 200 OK" in data[:20]
                tried.path(f"{fault}, {model}, stream {stream}", data, allowed=(ANSWER,) if partial else ())
            home.fault = premium.fault = None
            await answering(url)
    for raw in (b'{"error": {"message": "%b", "type": "%b", "code": "%b"}}', b'{"choices": "%b %b %b"}', b"%b%b%b"):
        for quoting in _QUOTING:
            home.answer, home.fault = Scripted(raw=(raw.replace(b"%b", f"{PROMPT}{FILE_KEY}".encode()),)), quoting
            tried.path(f"{raw[:12]!r} with {quoting}", await sent(url, http(chat(NUMBER, model="lane/home"))))
            home.answer, home.fault = ANSWER, None
            await answering(url)
    declined = b'{"error": {"message": "%b", "code": "content_filter"}}' % f"{PROMPT}{FILE_KEY}".encode()
    home.answer, home.fault = Scripted(raw=(declined,)), "400"
    tried.path("declined", await sent(url, http(chat(NUMBER, model="lane/home"))))
    home.answer, home.fault = ANSWER, None


async def without_disk(tried: Tried, url: str, pid: int, elsewhere: Path) -> None:
    """A log and a checkpoint file that cannot be written."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        for stream in (False, True):
            data = await sent(url, http(chat(NUMBER, stream=stream)))
            assert b"log_unavailable" in data
            tried.path(f"no disk, stream {stream}", data)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    elsewhere.rename(elsewhere.with_name("away"))
    async with asyncio.timeout(20):
        while b"no checkpoint" not in elsewhere.with_name("stderr").read_bytes():
            await asyncio.sleep(0.05)
    tried.path("/ready", await sent(url, http(method="GET", path="/ready")))
    elsewhere.with_name("away").rename(elsewhere)


def through_commands(tried: Tried, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that reads the log, the policy or a request: well, and with what it cannot use."""
    monkeypatch.setenv("PREMIUM_KEY", ENV_KEY)
    good, log = directory / "laneway.yaml", directory / "laneway.db"
    request, bad_request = directory / "request.json", directory / "bad.json"
    request.write_text(json.dumps(chat(NUMBER)))
    bad_request.write_text(f'{{"messages": "{PROMPT} {NUMBER}')
    sign, place = str(directory / "sign"), str(directory / "elsewhere")
    listed = CliRunner().invoke(main, ["log", "--log", str(log), "--json", "-n", "400"])
    ids = [row["id"] for row in json.loads(listed.stdout)]
    of_log = [["why"], ["why", "--json"], ["why", "nowhere"], ["review"], ["review", "--json"], ["review", "--since", "ever"], ["log"],
              *(["why", id] for id in ids[::12])]  # fmt: skip
    commands = [[*command, "--log", str(log), *(["--policy", str(good)])] for command in of_log]
    private = Path(sign).read_text().strip()
    tried.secrets.append(private[-40:])
    commands += [["log", "verify", "--log", str(log)], ["log", "backup", str(directory / "copy.db"), "--log", str(log)],
                 ["log", "verify", "--log", str(log), "--checkpoint", place, "--public-key", INLINE],
                 ["log", "verify", "--log", str(log), "--checkpoint", place, "--public-key", private],
                 ["log", "key", sign], ["log", "key", str(directory / "k"), "--origin", "two words"],
                 ["log", "checkpoint", place, "--key", str(directory / "lane.key"), "--log", str(log)],
                 ["log", "checkpoint", place, "--key", sign, "--log", str(log)]]  # fmt: skip
    for file in (request, bad_request):
        for flags in ([], ["--json"], ["--model", "lane/premium"], ["--sensitivity", "none"]):
            commands.append(["explain", "--policy", str(good), "--request", str(file), *flags])
    text = good.read_text()
    for n, (old, new) in enumerate(_SPOILED):
        assert old in text, old
        bad = directory / f"bad{n}.yaml"
        bad.write_text(text.replace(old, new))
        for verb in (["check"], ["test"], ["policy"], ["diff", str(good)]):
            commands.append([*verb, str(bad)])
        commands += [["serve", "--policy", str(bad), "--port", "0", "--log", str(directory)],
                     ["explain", "--policy", str(bad), "--request", str(request)]]  # fmt: skip
    for command in commands:
        result = CliRunner().invoke(main, command)
        assert isinstance(result.exception, SystemExit | None), command
        tried.path(" ".join(command[:3]), result.output_bytes + result.stderr_bytes)


_SPOILED = (
    ("key: env:PREMIUM_KEY", f"key: {INLINE}"),
    ("key: env:PREMIUM_KEY", f"key: env:{INLINE}"),
    ("key: env:PREMIUM_KEY", f"kex: {INLINE}"),
    ("key: env:PREMIUM_KEY", f"key: [{INLINE}]"),
    ("key: env:PREMIUM_KEY", f"key: '{INLINE}\n"),
    ('url: "http://127', f'url: "http://user:{INLINE}@127'),
    ('/v1"', f'/v1?key={INLINE}"'),
    ('/v1"', f'/v1#{INLINE}"'),
    ('url: "http://127', f'url: "gopher://{INLINE}/127'),
)
"""Places in a policy file where somebody may have put a key."""


def stored(directory: Path) -> Iterator[tuple[str, bytes]]:
    """What the server, and the commands beside it, left on disk."""
    for pattern in ("laneway.db*", "elsewhere", "copy.db", "stdout", "stderr"):
        for file in directory.glob(pattern):
            yield file.name, file.read_bytes()


def test_no_canary_is_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret comes out of any error path: in an answer, on an output, in the log, a checkpoint or a backup."""
    tried = Tried()

    async def test() -> None:
        async with (
            ScriptedLane(model="home-model", answer=ANSWER) as home,
            ScriptedLane(model="premium-model", answer=ANSWER) as premium,
            served(tmp_path, home, premium) as (url, pid),
        ):
            for name, data in REFUSED.items():
                tried.path(name, await sent(url, data))
            odd = http(SAID, path=f"http://user:{CLIENT_KEY}@{PLACE}.example/v1/chat/completions")
            tried.path("an absolute path", await sent(url, odd), allowed=(ANSWER,))
            await through_feedback(tried, url)
            await through_levers(tried, url)
            await through_lanes(tried, url, home, premium)
            await without_disk(tried, url, pid, tmp_path / "elsewhere")
            assert b"200 OK" in await sent(url, http(chat("please")))
            for name, data in stored(tmp_path):  # with the write-ahead log
                tried.sink(f"{name}, while serving", data)
            assert {seen.headers["authorization"] for lane in (home, premium) for seen in lane.seen} == {
                f"Bearer {ENV_KEY}", f"Bearer {FILE_KEY}",
            }  # fmt: skip

    run(test)
    through_commands(tried, tmp_path, monkeypatch)
    for name, data in stored(tmp_path):
        tried.sink(name, data)
    assert (tmp_path / "elsewhere").read_bytes().count(b"\n\n") > 1
    _weak_and_broken(tried, tmp_path, monkeypatch)
    print(f"{len(tried.paths)} error paths, {len(tried.heard)} canaries heard")
    assert not tried.heard, "\n".join(map(str, tried.heard))
    codes = re.findall(r"^\| `(\w+)` \| (4\d\d) \|", REASONS.read_text(), re.M)
    assert {code for code, _ in codes} - tried.codes - UNTRIED == set()
    assert len(tried.paths) > 250


def _weak_and_broken(tried: Tried, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs another policy, or a defect of ours."""
    words = list[str]()
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: words.append(logging.Formatter().format(record)))
    logging.getLogger().addHandler(handler)

    async def weak(how: str) -> None:
        (directory / how).mkdir()
        async with bench(directory / how, on_weak=how) as b:
            b.home.answer = b.premium.answer = Scripted(text=ANSWER, finish="length")
            tried.path(f"weak: {how}", await sent(b.url, http(chat(NUMBER))))

    async def no_route() -> None:
        (directory / "route").mkdir()
        async with bench(directory / "route") as b:
            text = b.gateway.active.policy.text.replace("cheapest lane., try", "cheapest lane., when: {team: x}, try")
            b.gateway.active = b.gateway.active._replace(policy=parse(text, "x.yaml"))
            tried.path("no route", await sent(b.url, http(chat(NUMBER))))

    async def defect() -> None:
        (directory / "defect").mkdir()
        async with bench(directory / "defect") as b:

            def fail(*_: object) -> None:
                raise RuntimeError(f"{PROMPT} {NUMBER} {CLIENT_KEY}")

            b.gateway.classify = fail  # type: ignore[assignment]
            data = await sent(b.url, http(chat(NUMBER)))
            assert b"internal_error" in data
            tried.path("internal error", data)

    for part in (lambda: weak("hold"), lambda: weak("refuse"), no_route, defect):
        run(part)
    logging.getLogger().removeHandler(handler)
    tried.sink("log lines", "\n".join(words).encode())
    for file in directory.glob("*/laneway.db*"):
        tried.sink(f"{file.parent.name}/{file.name}", file.read_bytes())
