"""The packs' evaluations on lanes of this machine: the weakest is a real model, the others are scripted.

Each lane counts what it is asked, so that after a kill it can be told whether anything was asked, and paid for, twice.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, ClientTimeout, web
from ruamel.yaml import YAML
from tests.evals import Ended, command, ended

from laneway.demo.model import MODEL
from laneway.demo.play import child, line
from laneway.evidence.formats.own import to_yaml
from laneway.evidence.results import Results
from laneway.evidence.sample import Sample
from laneway.evidence.sets import read_set
from laneway.policy import Policy
from laneway.policy_file import load
from laneway.providers.scripted import ScriptedLane

__all__ = ["PACKS", "Bench", "pack_bench", "right"]

ROOT = Path(__file__).resolve().parents[1]
PACKS = ("ai-assisted-development", "contract-review", "medical-evidence")
CONTEXT = 4096
CHANCES = (0.75, 0.88, 0.96, 0.99)
"""How often a scripted lane is right, weakest first; on samples that are tagged `hard` a tenth less."""
SECONDS = (0.4, 0.6, 0.8, 1.0)
_KEYS = dict.fromkeys(("NORDIC_KEY", "SHARED_KEY", "PREMIUM_KEY", "REGIONAL_KEY", "GLOBAL_KEY"), "sk-scripted")


def right(sample: Sample, solutions: Mapping[str, str]) -> str:
    """An answer that all scorers of the sample pass; `solutions` is code by sample."""
    expected: Any = sample.expected
    for scorer in sample.scorers:
        match scorer.name:
            case "code":
                return f"```python\n{solutions[sample.id]}```"
            case "json":
                return json.dumps(expected)
            case "set":
                return "\n".join(expected) or "none"
            case "quote":
                sentences = re.split(r"(?<=[.!?]) ", " ".join(sample.input.split("\n\n")[1].split()))
                return f'"{next(one for one in sentences if expected[0] in one)}"'
            case "exact":
                return str(expected[0] if isinstance(expected, list | tuple) else expected)
            case "numeric":
                return str(expected)
    raise AssertionError(f"nobody knows what is right for {sample.id}")


@dataclass(slots=True)
class Bench:
    """A copy of a pack over running lanes. `asked` counts by lane how often it got each question."""

    policy_path: Path
    samples: int
    scripted: dict[str, ScriptedLane] = field(default_factory=dict)
    asked: dict[str, Counter[bytes]] = field(default_factory=dict)
    real: str = ""

    @property
    def policy(self) -> Policy:
        """As it is now."""
        return load(self.policy_path)

    def calls(self) -> dict[str, int]:
        """How many calls each lane got."""
        return {lane: sum(counts.values()) for lane, counts in self.asked.items()}

    def repeated(self) -> int:
        """How many calls were for what the lane had been asked before."""
        return sum(count - 1 for counts in self.asked.values() for count in counts.values())

    def answered(self) -> set[tuple[str, str]]:
        """By lane the questions that have an answer on file."""
        with closing(Results.open(self.policy_path.with_name("evals.db"))) as results:
            return {(one.lane, one.key) for one in results.of() if one.answer is not None}

    async def killed(self, calls: int, *more: str, said: Callable[[str], None] = lambda _: None) -> None:
        """`laneway eval run` as a process, killed with SIGKILL once the real model has got so many calls."""
        process = await command("run", "--policy", f"{self.policy_path}", *more, **_KEYS)
        try:
            while self.calls()[self.real] < calls:
                assert process.returncode is None, "the run ended before it could be killed"
                said(f"{self.calls()}")
                await asyncio.sleep(0.05)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def run(self, what: str, *more: str) -> Ended:
        """A command of `laneway eval`, and how it ended."""
        return await ended(await command(what, "--policy", f"{self.policy_path}", *more, **_KEYS))


@asynccontextmanager
async def pack_bench(folder: Path, pack: str, *, most: int | None = None) -> AsyncIterator[Bench]:
    """A copy of the pack in the folder, with at most so many samples a set, and its lanes."""
    shutil.copytree(ROOT / "policies" / pack, folder, dirs_exist_ok=True)
    answers, samples = _sets(folder, most)
    it = Bench(folder / "laneway.yaml", samples)
    it.real, *others = it.policy.strength
    async with AsyncExitStack() as stack:
        it.asked[it.real] = Counter()
        urls = {it.real: await stack.enter_async_context(_real(it.asked[it.real]))}
        for i, name in enumerate(others):
            lane = ScriptedLane(model=it.policy.lanes[name].model, capture=False)
            counts = it.asked[name] = Counter()
            lane.answer = _answers(name, CHANCES[i], answers, counts)
            lane.fault, lane.seconds = "slow-first-byte", SECONDS[i]
            it.scripted[name] = await stack.enter_async_context(lane)
            urls[name] = lane.url
        _point(it.policy_path, it.policy, urls)
        yield it


def _sets(folder: Path, most: int | None) -> tuple[dict[str, tuple[Sample, str]], int]:
    """By the text of its question each sample with a right answer; and how many there are. The sets are cut in place."""
    solutions = YAML(typ="safe", pure=True).load((ROOT / "tests/unit/eval_solutions.yaml").read_text("utf-8"))
    known, count = dict[str, tuple[Sample, str]](), 0
    for path in sorted((folder / "evals").glob("*.yaml")):
        one = read_set(path)
        step = max(1, len(one.samples) // most) if most else 1  # spread over its languages
        samples = one.samples[::step][:most]
        if most is not None:
            path.write_text(to_yaml(replace(one, samples=samples)), "utf-8")
        count += len(samples)
        known |= {s.messages[-1].content: (s, right(s, solutions.get(one.name, {}))) for s in samples}
    return known, count


def _answers(
    lane: str, chance: float, known: Mapping[str, tuple[Sample, str]], counts: Counter[bytes]
) -> Callable[[dict[str, object]], str]:
    """Right as often as `chance` says, by the sample alone, so that a lane never changes its mind."""

    def answer(body: dict[str, Any]) -> str:
        counts[json.dumps(body["messages"]).encode()] += 1
        sample, good = known[body["messages"][-1]["content"]]
        likely = chance - 0.1 * ("hard" in sample.tags)
        return good if random.Random(f"{lane}/{sample.id}").random() < likely else "I cannot say."

    return answer


@asynccontextmanager
async def _real(counts: Counter[bytes]) -> AsyncIterator[str]:
    """The real model behind a pass-through that counts, by its address."""
    model = await child("laneway.demo.model", str(CONTEXT))
    runner = None
    try:
        address = (await line(model)).strip()
        assert address, "the model did not start"
        async with ClientSession(timeout=ClientTimeout(600)) as session:

            async def passed(request: web.Request) -> web.Response:
                data = await request.read()
                counts[json.dumps(json.loads(data)["messages"]).encode()] += 1
                async with session.post(f"{address}{request.path}", data=data, headers=_JSON) as got:
                    return web.Response(status=got.status, body=await got.read(), headers=_JSON)

            app = web.Application()
            app.router.add_post("/v1/chat/completions", passed)
            runner = web.AppRunner(app, shutdown_timeout=1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        if runner is not None:
            await runner.cleanup()
        model.kill()
        await model.wait()


_JSON = {"content-type": "application/json"}


def _point(path: Path, policy: Policy, urls: Mapping[str, str]) -> None:
    """Put the lanes' addresses into the policy's text, and what goes with them on one machine."""
    text = re.sub(r"^networks: .*$", "networks: [127.0.0.0/8]", path.read_text("utf-8"), flags=re.MULTILINE)
    text = re.sub(r"^approved: .*\n", "", text, flags=re.MULTILINE)
    for name, url in urls.items():
        lane = policy.lanes[name]
        more = "" if lane.kind in ("local", "private") else "\n    address: private-allowed"
        text = text.replace(f"    url: {lane.url}\n", f"    url: {url}{more}\n", 1)
    weakest = policy.lanes[policy.strength[0]]
    text = text.replace(f"    model: {weakest.model}\n", f"    model: {MODEL}\n", 1)
    text = text.replace("limits: {context: 32000}", f"limits: {{context: {CONTEXT}, concurrency: 1}}", 1)
    path.write_text(text, "utf-8")
