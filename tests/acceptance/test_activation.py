"""What is in force: only what is proved, from the next request on; what runs ends under what it began with."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from tests.harness import policy_text, run

from laneway.providers.scripted import Scripted, ScriptedLane
from laneway.store import Reader

ASK = {"model": "lane/premium", "stream": True, "messages": [{"role": "user", "content": "Hello there"}]}
SLOW = Scripted(text="one two three four five six seven eight nine ten eleven twelve", delay=0.4)


def started(policy: Path) -> tuple[subprocess.Popen[str], str]:
    """`laneway serve` as a process, and its address."""
    command = [sys.executable, "-m", "laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=os.environ | {"PREMIUM_KEY": "sk-canary-key"})  # fmt: skip
    assert server.stdout is not None
    text = ""
    while not text.rstrip().endswith("\n}"):
        line = server.stdout.readline()
        assert line, server.stderr and server.stderr.read()
        text += line
    return server, json.loads(text)["url"]


async def ready(session: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """What the server says of itself."""
    async with session.get(url.removesuffix("/v1") + "/ready") as answer:
        state: dict[str, str] = await answer.json()
    return state


async def until(session: aiohttp.ClientSession, url: str, **wanted: object) -> dict[str, str]:
    """Its state, once each key is (for a function: satisfies) what is wanted."""
    async with asyncio.timeout(20):
        while True:
            state = await ready(session, url)
            if all(w(state[k]) if callable(w) else state[k] == w for k, w in wanted.items()):
                return state
            await asyncio.sleep(0.05)


def test_a_running_request_ends_under_the_policy_that_it_began_with(tmp_path: Path) -> None:
    """While a stream runs its lane is taken away: it ends whole, and the next request is refused by the new policy."""

    async def scene() -> None:
        async with (
            ScriptedLane(model="home-model") as home,
            ScriptedLane(model="premium-model", answer=SLOW) as premium,
        ):
            file = tmp_path / "laneway.yaml"
            old = policy_text(home.url, premium.url)
            file.write_text(old, "utf-8")
            server, url = await asyncio.to_thread(started, file)
            try:
                async with aiohttp.ClientSession() as session:
                    before = (await ready(session, url))["policy"]
                    async with session.post(f"{url}/chat/completions", json=ASK) as stream:
                        await stream.content.readline()  # it runs
                        new = old.replace(
                            "[internal, public], zones: [ours, outside]", "[internal, public], zones: [ours]"
                        )
                        file.write_text(new, "utf-8")
                        await until(session, url, policy=lambda hash: hash != before)
                        rest = await stream.text()
                        id = stream.headers["Laneway-Decision"]
                    assert "twelve" in rest
                    assert "[DONE]" in rest
                    async with session.post(f"{url}/chat/completions", json=ASK) as answer:
                        assert answer.status == 403
                        other = answer.headers["Laneway-Decision"]
                    assert len(premium.seen) == 1
            finally:
                server.terminate()
                await asyncio.to_thread(server.communicate)
            with closing(Reader.open(tmp_path / "laneway.db")) as reader:
                first, second = reader.story(id), reader.story(other)
                assert first is not None
                assert second is not None
                assert first.opening.policy == before != second.opening.policy
                assert reader.policy_text(first.opening.policy) == old
                assert reader.policy_text(second.opening.policy) == new

    run(scene)


LEAK = ("then: [next, refuse]", "then: [premium, refuse]")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (LEAK, "names-forbidden-lane|fallbacks[0]"),
        (("routes:", "rutes:"), "unknown key `rutes`"),
        (("laneway: 1", ""), "needs `laneway`"),
    ],
    ids=["unproved", "invalid", "incomplete"],
)
def test_a_bad_file_never_takes_effect(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    """The old policy keeps serving; the refusal is loud, on /ready and on standard error, and ends when mended."""

    async def scene() -> None:
        async with ScriptedLane(model="home-model") as home, ScriptedLane(model="premium-model") as premium:
            file = tmp_path / "laneway.yaml"
            good = policy_text(home.url, premium.url)
            file.write_text(good, "utf-8")
            server, url = await asyncio.to_thread(started, file)
            try:
                async with aiohttp.ClientSession() as session:
                    before = await ready(session, url)
                    assert before["refused_policy"] == ""
                    file.write_text(good.replace(*change), "utf-8")
                    after = await until(session, url, refused_policy=bool)
                    assert says.rpartition("|")[2] in after["refused_policy"]
                    assert after["policy"] == before["policy"]
                    body = ASK | {"stream": False, "model": "auto"}
                    async with session.post(f"{url}/chat/completions", json=body) as answer:
                        assert answer.status == 200
                    file.write_text(good + "# mended\n", "utf-8")
                    mended = await until(session, url, refused_policy="")
                    assert mended["policy"] != before["policy"]
            finally:
                server.terminate()
                _, told = await asyncio.to_thread(server.communicate)
            assert "stays in force" in told
            assert "is in force now" in told

    run(scene)


def test_serve_refuses_to_start_with_what_is_not_proved(tmp_path: Path) -> None:
    """Exit 6, the finding with its request, and no log file."""
    file = tmp_path / "laneway.yaml"
    file.write_text(policy_text("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1").replace(*LEAK), "utf-8")
    command = [sys.executable, "-m", "laneway.cli", "serve", "--policy", str(file), "--port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 6
    assert "fallbacks[0]: `then` names `premium` for confidential requests" in " ".join(done.stderr.split())
    assert "laneway explain --policy" in " ".join(done.stderr.split())
    assert not (tmp_path / "laneway.db").exists()
