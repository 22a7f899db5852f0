"""One policy, one server: a lane opens by what it shows, and shuts when anything changes under it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp
from tests.harness import run
from tests.harness import serving as running
from tests.processes import served

from laneway.gateway import Gateway
from laneway.policy_file import load
from laneway.providers.http import HttpProvider
from laneway.providers.scripted import Scripted, ScriptedLane
from laneway.server.activation import activate
from laneway.server.api import Api
from laneway.store import Log, Reader, Story

TODAY = datetime.datetime.now(datetime.UTC).date()
POLICY = """
laneway: 1
name: evidence
currency: EUR
sensitivity: [public, restricted]
unlabelled: {{sensitivity: public}}
lanes:
  home: {{kind: local, provider: openai, url: "{home}", model: home-model, price: 0}}
  premium: {{kind: local, provider: openai, url: "{premium}", model: premium-model, price: {{input: 3.00, output: 15.00}}}}
strength: [home, premium]
zones: {{ours: {{kind: local}}}}
wall: [{{sensitivity: [public, restricted], zones: [ours], says: Everything stays here.}}]
workloads:
  sums: {{prompt: prompt.md, evals: [sums.yaml], says: Adding one.}}
routes: [{{says: Work starts at the cheapest lane that has shown that it can do it., try: cheapest}}]
gate:
  evidence: {{score: 0.9, confidence: 0.95}}
  waiver: {{lanes: [premium], until: {until}, by: Head of Platform}}
"""
PROMPT = "Answer with a number.\n"


def adding(body: dict[str, object]) -> str:
    """What a good lane says: one more than the number in the question."""
    messages = body["messages"]
    assert isinstance(messages, list)
    return str(int(re.findall(r"\d+", messages[-1]["content"])[0]) + 1)


def write(folder: Path, home: str, premium: str) -> Path:
    """The policy, its prompt, and forty samples."""
    samples = "".join(f'  - {{id: s{n}, input: "What is {n} and one?", expected: {n + 1}}}\n' for n in range(40))
    (folder / "sums.yaml").write_text(
        "evaluation: 1\nname: sums\nsays: Can it add?\nworkload: sums\nsensitivity: public\n"
        "scorers: [{numeric: {}}]\nsamples:\n" + samples
    )
    (folder / "prompt.md").write_text(PROMPT)
    policy = folder / "laneway.yaml"
    policy.write_text(POLICY.format(home=home, premium=premium, until=TODAY + datetime.timedelta(days=9)))
    return policy


@asynccontextmanager
async def lanes(folder: Path) -> AsyncIterator[tuple[Path, ScriptedLane, ScriptedLane]]:
    """The policy over two lanes that both can add."""
    async with (
        ScriptedLane(model="home-model", answer=adding) as home,
        ScriptedLane(model="premium-model", answer=adding) as premium,
    ):
        yield write(folder, home.url, premium.url), home, premium


async def said(policy: Path, *lines: str) -> None:
    """The server says each of these, in this order, in good time."""
    end, pattern = time.monotonic() + 30, ".*".join(map(re.escape, lines))
    while not re.search(pattern, told := policy.with_name("said.txt").read_text(), re.S):
        assert time.monotonic() < end, told
        await asyncio.sleep(0.2)


class Client:
    """Asks the running server."""

    def __init__(self, policy: Path, url: str, session: aiohttp.ClientSession) -> None:
        self.policy, self.url, self.session = policy, url, session

    async def ask(self) -> tuple[str, Story]:
        """The lane that answered, or the error's code; and what is on record."""
        body = {"model": "sums", "messages": [{"role": "user", "content": "What is 7 and one?"}]}
        async with self.session.post(f"{self.url}/chat/completions", json=body) as answer:
            said = await answer.json()
            lane = answer.headers.get("Laneway-Lane") or said["error"]["code"]
            id = answer.headers["Laneway-Decision"]
        with closing(Reader.open(self.policy.with_name("laneway.db"))) as reader:
            story = reader.story(id)
        assert story is not None
        return lane, story

    async def error(self) -> dict[str, str]:
        """What the client is told where nobody answers."""
        body = {"model": "sums", "messages": [{"role": "user", "content": "What is 7 and one?"}]}
        async with self.session.post(f"{self.url}/chat/completions", json=body) as answer:
            found: dict[str, str] = (await answer.json())["error"]
            return found

    async def until(self, wanted: str) -> Story:
        """The first request that ends so, in good time."""
        end = time.monotonic() + 30
        while True:
            lane, story = await self.ask()
            if lane == wanted:
                return story
            assert time.monotonic() < end, f"still {lane}, not {wanted}"
            await asyncio.sleep(0.2)


@asynccontextmanager
async def serving(policy: Path) -> AsyncIterator[Client]:
    """`laneway serve` as a process."""
    server, url = await asyncio.to_thread(served, policy, policy.with_name("said.txt"))
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(policy, url, session)
    finally:
        server.terminate()
        await asyncio.to_thread(server.communicate)


async def command(*arguments: str) -> str:
    """The output of `laneway ARGUMENTS`, which succeeds."""
    line = [sys.executable, "-m", "laneway.cli", *arguments]
    done = await asyncio.to_thread(subprocess.run, line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


async def measured(policy: Path, *more: str) -> None:
    """`laneway eval run` on home."""
    await command("eval", "run", "--policy", str(policy), "--lane", "home", *more)


def why_home(story: Story) -> str:
    """Why home may or may not serve, as it was decided."""
    decision = story.opening.decision
    return next(r.effect for r in (*decision.rejected, *decision.reasons)
                if r.lane == "home" and r.code in ("no-evidence", "evidence-met"))  # fmt: skip


@contextlib.contextmanager
def edited(file: Path, old: str, new: str) -> Iterator[None]:
    """The file with something else in it, for a while."""
    before = file.read_text()
    assert old in before
    file.write_text(before.replace(old, new))
    yield
    file.write_text(before)


def test_a_lane_opens_by_evidence_and_shuts_with_every_change_under_it(tmp_path: Path) -> None:
    """Without evidence the cheap lane is shut and `why` says so; measured, it serves; each change shuts it again."""

    async def scene() -> None:
        async with lanes(tmp_path) as (policy, _, premium), serving(policy) as client:
            lane, story = await client.ask()
            assert lane == "premium"
            assert why_home(story) == "home has shown no evidence for this workload, and nobody has waived it"
            told = json.loads(await command("why", story.id, "--json", "--log", str(tmp_path / "laneway.db")))
            assert {"lane": "home", "code": "no-evidence"}.items() <= told["rejected"][0].items()
            assert premium.seen[-1].body["messages"][0] == {"role": "system", "content": PROMPT}  # type: ignore[index]

            await measured(policy)
            story = await client.until("home")
            assert "home has shown 0.927 or more at 95% confidence, on 40 samples" in why_home(story)
            assert story.opening.instructed
            changes: list[tuple[Path, str, str, str]] = [
                (tmp_path / "prompt.md", "number.", "number!", "the prompt of sums has changed"),
                (policy, "model: home-model", "model: home-model-2", "the model was home-model on"),
                (policy, "127.0.0.1", "localhost", "it was measured at another address"),
                (tmp_path / "sums.yaml", "expected: 40}", "expected: 41}", "the set sums has changed"),
            ]
            for file, old, new, why in changes:
                with edited(file, old, new):
                    assert why in why_home(await client.until("premium"))
                await client.until("home")
            for broken in (tmp_path / "sums.yaml", tmp_path / "evidence.jsonl"):
                with edited(broken, "sums", "sums}"):
                    assert "no evidence that counts" in why_home(await client.until("premium"))
                    with edited(policy, "routes:", "rutes:"):  # nor does a policy that cannot be read put it off
                        assert (await client.ask())[0] == "premium"
                await client.until("home")
            ended = edited(policy, f"until: {TODAY + datetime.timedelta(days=9)}", "until: 2026-11-01")
            with ended, edited(tmp_path / "prompt.md", "number.", "number!"):
                story = await client.until("no_lane")
                rejected = story.opening.decision.rejected
                assert [reason.code for reason in rejected] == ["no-evidence"] * 2
                assert "its waiver ended on 2026-11-01" in rejected[1].effect
                error = (await client.error())["message"]
                assert "`laneway eval run --workload sums` measures lanes; `laneway why " in error
                await said(
                    policy,
                    "lane home is open to sums: home has shown 0.927 or more",
                    "lane home is shut to sums: home has no evidence that counts: the prompt of sums has changed",
                    "lane home is open to sums: ",
                    "lane premium is shut to sums: premium has shown no evidence for this workload, and its waiver ended",
                )

    run(scene)


def test_a_lane_that_answers_as_another_model_is_shut_by_its_first_answer(tmp_path: Path) -> None:
    """The next request goes elsewhere, after a restart too, until the lane is measured as what it is now."""

    async def scene() -> None:
        async with lanes(tmp_path) as (policy, home, _):
            await measured(policy)
            async with serving(policy) as client:
                assert (await client.ask())[0] == "home"
                home.model = "home-model-tiny"
                lane, seen = await client.ask()
                assert lane == "home"
                told = await command("why", seen.id, "--log", str(tmp_path / "laneway.db"))
                assert "home was measured as home-model and answered as home-model-tiny: it is shut" in told
                lane, story = await client.ask()
                assert lane == "premium"
                assert "it was measured as home-model" in why_home(story)
                home.model = "home-model"
                assert (await client.ask())[0] == "premium"
            with closing(Reader.open(tmp_path / "laneway.db")) as reader:
                (shut,) = reader.shuts()
                assert (shut.entry.measured, shut.entry.answered) == ("home-model", "home-model-tiny")
                assert reader.verify().ok
            async with serving(policy) as client:
                lane, story = await client.ask()
                assert lane == "premium"
                await measured(policy)  # what is on file is older than what was seen, and proves nothing now
                since = re.findall(r"--since (\S+?)`", why_home(story))[0]
                await measured(policy, "--since", since)
                await client.until("home")

    run(scene)


@asynccontextmanager
async def here(policy: Path) -> AsyncIterator[tuple[Client, Gateway]]:
    """A server in this process, so that a test may reach into it."""
    made = load(policy)
    log, provider = await asyncio.to_thread(Log.open, policy.with_name("laneway.db")), HttpProvider(made.lanes, {})
    try:
        gateway = Gateway(log, await activate(made, log, provider))
        async with running(Api(gateway)) as url, aiohttp.ClientSession() as session:
            yield Client(policy, url, session), gateway
    finally:
        await provider.close()
        await asyncio.to_thread(log.close)


def test_what_a_request_saw_counts_though_the_policy_was_read_anew_meanwhile(tmp_path: Path) -> None:
    """The lane answers as another model while a policy file is put in force: it is shut all the same, and on record."""

    async def scene() -> None:
        async with lanes(tmp_path) as (policy, home, _):
            await measured(policy)
            async with here(policy) as (client, gateway):

                def meanwhile(body: dict[str, object]) -> Scripted:
                    gateway.active = gateway.active._replace(policy=load(policy))
                    return Scripted(text=adding(body), model="home-model-tiny")

                home.answer = meanwhile
                lane, seen = await client.ask()
                assert lane == "home"
                assert [(shut.lane, shut.answered) for shut in seen.shut] == [("home", "home-model-tiny")]
                assert (await client.ask())[0] == "premium"

    run(scene)


def test_a_stream_that_is_cut_off_shows_its_model_all_the_same(tmp_path: Path) -> None:
    """Whoever breaks off before the end does not hide that it is another model."""

    async def scene() -> None:
        async with lanes(tmp_path) as (policy, home, _):
            await measured(policy)
            async with here(policy) as (client, _):
                home.model, home.fault = "home-model-tiny", "truncated"
                body = {
                    "model": "sums",
                    "stream": True,
                    "messages": [{"role": "user", "content": "What is 7 and one?"}],
                }
                async with client.session.post(f"{client.url}/chat/completions", json=body) as answer:
                    await answer.read()
                lane, story = await client.ask()
                assert lane == "premium"
                assert "answered as home-model-tiny" in why_home(story)

    run(scene)


def test_what_people_reject_shuts_a_lane_until_it_is_measured_again(tmp_path: Path) -> None:
    """Three rejected answers of three are enough; praise does not open it again."""

    async def scene() -> None:
        async with lanes(tmp_path) as (policy, _, _):
            await measured(policy)
            async with serving(policy) as client:
                ids = [(await client.ask())[1].id for _ in range(3)]
                for id in ids:
                    await say(client, id, accepted=False)
                lane, story = await client.ask()
                assert lane == "premium"
                assert "people rejected 3 of 3 answers since" in why_home(story)
                await said(policy, "lane home is shut to sums: home has shown ", "people rejected 3 of 3 answers since")
                await every_screen_says_it(policy)
                for id in ids:
                    await say(client, id, accepted=True, user="somebody else")
                assert (await client.ask())[0] == "premium"
            async with serving(policy) as client:
                assert (await client.ask())[0] == "premium"

    run(scene)


async def every_screen_says_it(policy: Path) -> None:
    """The commands read the log as the server does, say where the word is from, and without a log know nothing of it."""
    said, at = "people rejected 3 of 3 answers since", ("--policy", str(policy))
    screens = (("explain", "--workload", "sums", *at), ("check", str(policy)), ("policy", str(policy)),
               ("eval", "report", *at))  # fmt: skip
    for screen in screens:
        told = " ".join((await command(*screen)).split())
        assert said in told
        assert "by the log" in told or screen[0] in ("explain", "policy")  # which say it on standard error
        assert said not in await command(*screen, "--log", str(policy.with_name("none.db")))
    told = json.loads(await command("explain", "--workload", "sums", *at, "--json"))
    assert told["lanes"] == ["premium"]
    assert "by the log" in told["notes"][0]
    (report,) = json.loads(await command("eval", "report", *at, "--json"))["workloads"]
    assert report["prefer"]["lane"] == "home"
    assert said in report["since"][0]


async def say(client: Client, id: str, *, accepted: bool, user: str = "anna") -> None:
    """One word on an answer."""
    said = {"decision": id, "accepted": accepted, "reason": "wrong", "user": user}
    async with client.session.post(f"{client.url}/feedback", json=said) as answer:
        assert answer.status == 200, await answer.text()
