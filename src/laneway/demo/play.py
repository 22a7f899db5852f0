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

from laneway.demo.model import MISSING, available
from laneway.demo.requests import AFTER_OUTAGE, REQUESTS, Scene, stand_in
from laneway.errors import UsageError
from laneway.providers.scripted import ScriptedLane
from laneway.starter import SERVICES
from laneway.store import Reader

__all__ = ["Played", "play"]

STAND_IN = "scripted-stand-in"


@dataclass(frozen=True, slots=True)
class Played:
    """One request of the demo, as the client and the log saw it."""

    scene: Scene
    id: str
    sensitivity: str
    route: str
    rule: str
    result: str
    ms: int
    cost: float


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
    home = await _child("laneway.demo.model")
    try:
        home_url = (await _line(home)).strip()
        if not home_url:
            raise UsageError("the home lane's model server did not start")
        async with ScriptedLane(model=STAND_IN, answer=stand_in) as lane:
            policy = _write_policy(directory, home_url + "/v1", lane.url)
            on_step("starting the server: laneway serve")
            async with _serving(policy) as url, aiohttp.ClientSession() as session:
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


def _write_policy(directory: Path, home_url: str, stand_in_url: str) -> Path:
    service = next((s for s in SERVICES if s.kind == "premium" and os.environ.get(s.key)), None)
    if service is None:
        premium = {"url": stand_in_url, "model": STAND_IN, "access": "address: private-allowed", "input": "3.00",
                   "output": "15.00", "note": "The premium lane is a scripted stand-in on this machine."}  # fmt: skip
    else:
        premium = {"url": service.url, "model": service.model, "access": f"key: env:{service.key}",
                   "input": service.input, "output": service.output,
                   "note": "The premium lane is your own, by your key."}  # fmt: skip
    until = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=30)
    values = {f"premium_{key}": value for key, value in premium.items()} | {
        "home_url": home_url,
        "until": f"{until}",
    }
    path = directory / "laneway.yaml"
    path.write_text(Template((files("laneway.demo") / "laneway.yaml").read_text("utf-8")).substitute(values), "utf-8")
    return path


async def _child(*module_and_arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", *module_and_arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )


async def _line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode()


@asynccontextmanager
async def _serving(policy: Path) -> AsyncIterator[str]:
    server = await _child("laneway.cli", "serve", "--policy", str(policy), "--port", "0", "--json")
    try:
        text = ""
        while not text.rstrip().endswith("\n}"):
            line = await _line(server)
            if not line:
                raise UsageError(f"`laneway serve --policy {policy}` did not start; run it by hand to see why")
            text += line
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
    arrow = {"first": "", "retry": " failed, again ", "fallback": " failed > ", "escalation": " weak > "}
    route = "".join(f"{arrow[i.why]}{i.lane}" for _, i in story.intents) or "none"
    reasons = story.opening.decision.reasons
    walled = next((r for r in story.opening.decision.rejected if r.code == "wall"), None)
    shown = walled or reasons[0]
    result = outcome.status + (" (marked weak)" if outcome.verdict and outcome.verdict.verdict == "marked" else "")
    return Played(scene, id, story.opening.signals.sensitivity, route, shown.says, result, took, outcome.cost or 0.0)
