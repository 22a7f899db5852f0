"""play: runs the demo with the real parts: the model's process, `laneway serve`, HTTP requests, the log."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import aiohttp

from laneway.clock import today
from laneway.decision import Reason
from laneway.demo.model import MISSING, available
from laneway.demo.requests import AFTER_OUTAGE, REQUESTS, Scene, stand_in
from laneway.errors import UsageError
from laneway.providers.scripted import ScriptedLane
from laneway.starter import SERVICES, Service
from laneway.store import Reader, Story

__all__ = ["STAND_IN", "Played", "child", "line", "own_service", "play", "serving", "write_policy"]

STAND_IN = "scripted-stand-in"


@dataclass(frozen=True, slots=True)
class Played:
    """One request of the demo, as the client and the log saw it."""

    scene: Scene
    id: str
    sensitivity: str
    route: str
    rule: Reason
    result: str
    ms: int
    cost: float

    def row(self) -> dict[str, object]:
        """The request as `demo --json` prints it."""
        return {
            "id": self.id,
            "title": self.scene.title,
            "sensitivity": self.sensitivity,
            "route": self.route,
            "rule": self.rule.rule,
            "says": self.rule.says,
            "result": self.result,
            "ms": self.ms,
            "cost": self.cost,
        }


async def play(directory: Path, on_step: Callable[[str], None], on_played: Callable[[Played], None]) -> list[Played]:
    """Run the whole demo in `directory`. Raises UsageError where the model is not installed."""
    if not available():
        raise UsageError(MISSING)
    played: list[Played] = []
    _refuse_strangers(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("laneway.db*"):
        old.unlink()
    on_step("starting the home lane: a real model on this machine")
    home = await child("laneway.demo.model")
    try:
        home_url = (await line(home)).strip()
        if not home_url:
            raise UsageError("the home lane's model server did not start")
        async with ScriptedLane(model=STAND_IN, answer=stand_in) as lane:
            policy = write_policy(directory, home_url + "/v1", lane.url)
            on_step("starting the server: laneway serve")
            async with serving(policy) as url, aiohttp.ClientSession() as session:
                for scene in REQUESTS:
                    on_step(scene.title)
                    played.append(await _ask(session, url, policy, scene))
                    on_played(played[-1])
                on_step("stopping the home lane")
                home.terminate()
                await home.wait()
                for scene in AFTER_OUTAGE:
                    on_step(scene.title)
                    played.append(await _ask(session, url, policy, scene))
                    on_played(played[-1])
    finally:
        if home.returncode is None:
            home.kill()
            await home.wait()
    return played


def _refuse_strangers(directory: Path) -> None:
    """The demo starts afresh in its own directory, and in no other: a log is never deleted by mistake."""
    policy, log = directory / "laneway.yaml", directory / "laneway.db"
    own = policy.is_file() and policy.read_text("utf-8", "replace").startswith("# The demo's policy")
    if not own and (policy.exists() or log.exists()):
        raise UsageError(f"{directory} holds a policy or a log that is not the demo's; choose another with --dir")


def own_service() -> Service | None:
    """The user's own premium service: the first whose key is set."""
    return next((s for s in SERVICES if s.kind == "premium" and os.environ.get(s.key)), None)


def write_policy(directory: Path, home_url: str, stand_in_url: str) -> Path:
    """The demo's policy over these addresses; premium is the user's own service where its key is set."""
    service = own_service()
    if service is None:
        premium = {"url": stand_in_url, "model": STAND_IN, "access": "address: private-allowed", "input": "3.00",
                   "output": "15.00", "note": "The premium lane is a scripted stand-in on this machine."}  # fmt: skip
    else:
        premium = {"url": service.url, "model": service.model, "access": f"key: env:{service.key}",
                   "input": service.input, "output": service.output,
                   "note": "The premium lane is your own, by your key."}  # fmt: skip
    until = today() + datetime.timedelta(days=30)
    values = {f"premium_{key}": value for key, value in premium.items()} | {
        "home_url": home_url,
        "until": f"{until}",
    }
    path = directory / "laneway.yaml"
    path.write_text(Template((files("laneway.demo") / "laneway.yaml").read_text("utf-8")).substitute(values), "utf-8")
    return path


async def child(*module_and_arguments: str) -> asyncio.subprocess.Process:
    """A Python module as a process of its own, its standard output readable."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module_and_arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line that a child prints; empty once it has ended."""
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode()


@asynccontextmanager
async def serving(policy: Path) -> AsyncIterator[str]:
    """`laneway serve` as a process, by its address, until the context is left."""
    server = await child("laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json")
    try:
        text = ""
        while not text.rstrip().endswith("\n}"):
            read = await line(server)
            if not read:
                raise UsageError(f"`laneway serve --policy {policy}` did not start; run it by hand to see why")
            text += read
        yield str(json.loads(text)["url"])
    finally:
        if server.returncode is None:
            server.terminate()
        await server.wait()


async def _ask(session: aiohttp.ClientSession, url: str, policy: Path, scene: Scene) -> Played:
    body = {"model": scene.model, "messages": [{"role": "user", "content": scene.text}], "stream": scene.stream,
            "temperature": 0, "seed": 1}  # fmt: skip
    started = time.monotonic()
    async with session.post(f"{url}/chat/completions", json=body, headers=scene.labels) as response:
        await response.read()
        id = response.headers["Laneway-Decision"]
    took = round((time.monotonic() - started) * 1000)
    with closing(Reader.open(policy.parent / "laneway.db")) as reader:
        story = reader.story(id)
    assert story is not None
    assert story.outcome is not None
    outcome = story.outcome.entry
    arrow = {
        "first": "",
        "retry": " failed, again ",
        "fallback": " failed > ",
        "hedge": " slow > ",
        "escalation": " weak > ",
        "judge": " judged by ",
    }
    route = "".join(f"{arrow[i.why]}{i.lane}" for _, i in story.intents) or "none"
    marked = outcome.verdict is not None and outcome.verdict.verdict == "marked"
    return Played(
        scene=scene,
        id=id,
        sensitivity=story.opening.signals.sensitivity,
        route=route,
        rule=_rule(story),
        result=outcome.status + (", marked weak" if marked else ""),
        ms=took,
        cost=outcome.cost or 0.0,
    )


def _rule(story: Story) -> Reason:
    """The rule that most tells this request's story: what moved it on, else what kept it, else its route."""
    decision = story.opening.decision
    hops = {intent.why for _, intent in story.intents}
    codes = ["weak"] * ("escalation" in hops) + ["fallback"] * ("fallback" in hops) + ["wall"]
    spoken = (*decision.reasons, *decision.rejected)
    return next((r for code in codes for r in spoken if r.code == code), decision.reasons[0])
