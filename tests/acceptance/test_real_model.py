"""With a real model at home: the demo's story, and the official client without a Laneway header."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from tests.harness import run

from laneway.demo import play
from laneway.demo.requests import stand_in
from laneway.providers.scripted import ScriptedLane


def laneway(*arguments: str, directory: Path) -> str:
    """What `laneway ARGUMENTS` prints in `directory`; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "laneway.cli", *arguments], cwd=directory, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the demo has run."""
    directory = tmp_path_factory.mktemp("demo")
    (directory / "out.txt").write_text(laneway("demo", directory=directory))
    (directory / "log.json").write_text(
        laneway("log", "--policy", "laneway-demo/laneway.yaml", "--json", directory=directory)
    )
    return directory


def test_the_demo_tells_its_story(demo: Path) -> None:
    """Home, premium, escalation, label, identifier, outage and refusal each happen as the table says."""
    newest_first = json.loads((demo / "log.json").read_text())
    called = [row["called"] for row in reversed(newest_first)]
    assert called == [
        "home", "premium", "home", "home", "home > premium", "home", "home", "home", "home", "premium",
        "home > premium", "home > home",
    ]  # fmt: skip
    assert newest_first[0]["outcome"] == "refused"
    assert [row["sensitivity"] for row in newest_first].count("restricted") == 3


def test_the_demo_ends_with_a_why_and_the_review(demo: Path) -> None:
    """The table, one `why`, the three questions and what to try next are printed, and the stand-in is named so."""
    text = (demo / "out.txt").read_text()
    for part in ("SCRIPTED STAND-IN", "$ laneway why ", "What happened", "$ laneway review", "What escalated?",
                 "Which cheap answers were rejected?", "Which fallbacks fired?", "What to try next:"):  # fmt: skip
        assert part in text
    assert "\x1b[" not in text


def test_the_demo_never_deletes_a_log_that_is_not_its_own(tmp_path: Path) -> None:
    """In a directory with another policy the demo stops before it touches anything."""
    (tmp_path / "laneway.yaml").write_text("mine")
    (tmp_path / "laneway.db").write_text("precious")
    done = subprocess.run(
        [sys.executable, "-m", "laneway.cli", "demo", "--dir", "."], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert (tmp_path / "laneway.db").read_text() == "precious"


def test_the_official_client_with_a_real_model_and_no_header(tmp_path: Path) -> None:
    """Three prompts: home; premium after escalation; home after an identifier; streamed too; `why` tells each."""

    async def test() -> None:
        home = await play.child("laneway.demo.model")
        try:
            async with ScriptedLane(model=play.STAND_IN, answer=stand_in) as premium:
                address = (await play.line(home)).strip()
                policy = play.write_policy(tmp_path, f"{address}/v1", premium.url)
                async with play.serving(policy) as url, AsyncOpenAI(base_url=url, api_key="unused") as client:
                    for text, lanes in PROMPTS:
                        await _asked(client, policy, text, lanes)
        finally:
            home.kill()
            await home.wait()

    run(test)


PROMPTS = (
    ("Write a short commit message for this change: the pager no longer skips the last row.", ["home"]),
    ("List ten risks in a software licence agreement, with one sentence on each.", ["home", "premium"]),
    ("Prove step by step that the tenant 811228-9874 may not sublet without consent.", ["home"]),
)


async def _asked(client: AsyncOpenAI, policy: Path, text: str, lanes: list[str]) -> None:
    create: Any = client.chat.completions.with_raw_response.create
    for stream in (False, True):
        raw = await create(
            model="auto", messages=[{"role": "user", "content": text}], stream=stream, temperature=0, seed=1
        )
        answer: Any = raw.parse()
        if stream:
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in answer]).strip()
        else:
            assert answer.choices[0].message.content.strip()
        id = raw.headers["laneway-decision"]
        told = json.loads(
            await asyncio.to_thread(laneway, "why", "--policy", str(policy), "--json", id, directory=policy.parent)
        )
        assert [attempt["lane"] for attempt in told["attempts"]] == lanes
        assert told["outcome"] == "answered"
        assert told["verdict"]["verdict"] in ("pass", "marked")
        assert told["times"]["total_ms"] > 0
        assert told["cost"] is not None
        if "811228" in text:
            assert [r["lane"] for r in told["rejected"]] == ["premium"]
            assert told["signals"]["sensitivity"] == "restricted"
