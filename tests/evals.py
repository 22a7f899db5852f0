"""Evaluations for tests: two scripted lanes, a policy, sets of samples, and the real `laneway eval run` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness import policy_text

from laneway.evidence.ledger import Evidence, read
from laneway.providers.scripted import ScriptedLane

__all__ = ["Case", "Ended", "Row", "case", "command", "ended", "rows"]

Row = dict[str, Any]
_BAR = "\n  evidence: {score: 0.85, confidence: 0.95}"
_WORK = "contracts: {sensitivity: confidential}"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What it printed, wherever its lines end."""
        return " ".join(self.out.split())

    @property
    def json(self) -> Any:
        """What it printed with --json."""
        return json.loads(self.out)

    def lane(self, name: str) -> Any:
        """What it printed of one lane with --json."""
        (found,) = (lane for lane in self.json["lanes"] if lane["lane"] == name)
        return found


@dataclass(slots=True)
class Case:
    """A folder with a policy and its sets, and both lanes."""

    folder: Path
    home: ScriptedLane
    premium: ScriptedLane

    def write_set(self, samples: Iterable[Row], name: str = "flags", **head: Any) -> Path:
        """A set as JSON Lines; `exact` scores what names no scorer."""
        whole = {
            "evaluation": 1, "name": name, "says": "Is it so?", "workload": "contracts", "sensitivity": "internal",
            "scorers": [{"exact": {}}],
        } | head  # fmt: skip
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in (whole, *samples)), "utf-8")
        return path

    def write_policy(self, work: str = "contracts: {evals: [flags.jsonl]}", **changes: str) -> Path:
        """The policy; `old=new` in `changes` are texts of it to be replaced."""
        text = policy_text(self.home.url, self.premium.url, more_gate=_BAR).replace(_WORK, work)
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = self.folder / "laneway.yaml"
        path.write_text(text, "utf-8")
        return path

    async def start(self, *arguments: str, **environ: str) -> asyncio.subprocess.Process:
        """`laneway eval run` as a process."""
        known = {"PREMIUM_KEY": "sk-canary-key"} | environ
        return await command("run", "--policy", f"{self.folder / 'laneway.yaml'}", *arguments, **known)

    async def run(self, *arguments: str, **environ: str) -> Ended:
        """`laneway eval run`, and how it ended."""
        return await ended(await self.start(*arguments, **environ))

    def ledger(self) -> tuple[Evidence, ...]:
        """The entries of the ledger."""
        return read(self.folder / "evidence.jsonl")

    def asked(self, lane: ScriptedLane) -> Counter[str]:
        """How often the lane was asked each question."""
        return Counter(seen.body["messages"][-1]["content"] for seen in lane.seen)  # type: ignore[index]


async def command(*arguments: str, **environ: str) -> asyncio.subprocess.Process:
    """`laneway eval ARGUMENTS` as a process."""
    whole, pipe = ("-m", "laneway.cli", "eval", *arguments), asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, *whole, env=os.environ | environ, stdout=pipe, stderr=pipe
    )


async def ended(process: asyncio.subprocess.Process) -> Ended:
    """How a process ended."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def case(folder: Path) -> AsyncIterator[Case]:
    """Both lanes, `home` answers yes and `premium` no, and a policy whose workload `contracts` names one set."""
    async with (
        ScriptedLane(model="home-model", answer="yes") as home,
        ScriptedLane(model="premium-model", answer="no") as premium,
    ):
        made = Case(folder, home, premium)
        made.write_policy()
        yield made


def rows(count: int, **more: Any) -> list[Row]:
    """So many samples to which `yes` is right."""
    return [{"id": f"s{i}", "input": f"Is number {i} so?", "expected": "yes"} | more for i in range(count)]
