"""`laneway eval run` with rubrics: judges behind the wall, held against people's labels, their replies paid for once."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.evals import Case, Ended, Row, case, ended, rows
from tests.harness import run

from laneway.evidence.judging.calibration import CLAIM
from laneway.providers.scripted import Scripted, ScriptedLane, Seen

RUBRIC: dict[str, Any] = {"scorers": [{"rubric": {"asks": "Is the answer kind?"}}], "labels": "grades.jsonl"}


def judged(seen: Seen) -> bool:
    """Whether a lane was asked to judge."""
    return b"You grade an answer" in seen.raw


def lane(answer: str, grade: Callable[[str], str]) -> Callable[[dict[str, object]], str | Scripted]:
    """A lane that gives `answer` to samples, and what `grade` makes of the answer where it is to judge."""

    def say(body: dict[str, Any]) -> str:
        told, asked = body["messages"][0]["content"], body["messages"][-1]["content"]
        return grade(json.loads(asked)["answer"]) if told.startswith("You grade an answer") else answer

    return say


def honest(answer: str) -> str:
    """The grade of a judge that knows kindness."""
    return "It is.\nPASS" if answer.startswith("kind") else "It is not.\nFAIL"


def judge_set(it: Case, count: int = 20, *, labels: int = 20, **more: Any) -> None:
    """A set of `count` samples with one rubric, and people's grades of two answers to each of the first `labels`."""
    it.write_set([row for row in rows(count, **more) if row.pop("expected")], **RUBRIC)
    graded: list[Row] = [
        {"sample": f"s{n}", "answer": f"{tone} words {n}", "grade": grade, "by": "Ada"}
        for n in range(labels)
        for tone, grade in (("kind", "pass"), ("rude", "fail"))
    ]
    (it.folder / "grades.jsonl").write_text("".join(json.dumps(row) + "\n" for row in graded), "utf-8")


async def ask(it: Case, *arguments: str) -> Ended:
    """A run in which `home` answers and `premium` judges."""
    return await it.run("--json", "--lane", "home", "--judge", "premium", *arguments)


def asked_to_judge(of: ScriptedLane) -> int:
    """How often a lane was asked to judge."""
    return sum(judged(seen) for seen in of.seen)


@pytest.mark.parametrize(("answer", "mean"), [("kind words", 1.0), ("rude words", 0.0), (f"rude {CLAIM}", 0.0)])
def test_a_judge_that_agrees_with_people_gives_evidence(tmp_path: Path, answer: str, mean: float) -> None:
    """Rubrics are graded by the judge; its calibration is kept, its replies too, and nothing is paid for twice."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.home.answer, it.premium.answer = lane(answer, honest), lane("", honest)
            judge_set(it)
            done = await ask(it)
            assert (done.code, done.err) == (0, "")
            (entry,) = it.ledger()
            assert (entry.lane, entry.bounds[""].mean, entry.unscored, entry.cost) == ("home", mean, 0, 0.0)
            (found,) = done.json["judging"]["calibrations"]
            assert (found["lane"], found["kappa"], found["refused"], found["claimed"]) == ("premium", 1.0, "", 20)
            assert asked_to_judge(it.premium) == 80
            assert {seen.body["temperature"] for seen in it.premium.seen} == {0.0}
            assert done.json["spent"] > 0
            again = await ask(it)
            assert (again.code, again.json["spent"], asked_to_judge(it.premium)) == (0, 0.0, 80)
            grades = it.folder / "grades.jsonl"
            bo = {"sample": "s0", "answer": "kind words 0", "grade": "fail", "by": "Bo"}
            grades.write_text(f"{grades.read_text('utf-8')}{json.dumps(bo)}\n", "utf-8")
            third = await ask(it)
            assert third.json["judging"]["disputed"] == {"contracts/flags": ["s0: Ada says pass, Bo says fail"]}
            assert third.json["judging"]["calibrations"][0]["contradictory"] == 1
            assert asked_to_judge(it.premium) == 80

    run(whole)


def test_a_judge_that_disagrees_with_people_is_refused_with_its_kappa(tmp_path: Path) -> None:
    """Its grades count for nothing: the samples are unscored, which the ledger counts as 0, and it says why."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.home.answer, it.premium.answer = "kind words", lane("", lambda _: "PASS")
            judge_set(it)
            done = await ask(it)
            (reason,) = done.lane("home")["unscored"]
            assert "judge premium is refused: kappa 0.00 of 40, at least -" in reason
            assert done.lane("home")["mean"] == 0
            assert asked_to_judge(it.premium) == 40
            shown = await it.run("--lane", "home", "--judge", "premium")
            assert "judge premium is refused: kappa 0.00 of 40" in " ".join(shown.out.split())

    run(whole)


def test_no_lane_is_judged_by_its_own_family(tmp_path: Path) -> None:
    """By what the lane calls itself, whatever the policy calls it; another judge takes over where one is named."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.home.answer, it.premium.answer = lane("kind words", honest), lane("kind words", honest)
            it.home.model, it.premium.model = "claude-small", "anthropic/claude-large"
            judge_set(it)
            done = await ask(it)
            (reason,) = done.lane("home")["unscored"]
            assert reason == "rubric: premium is of the same family as the lane that answered (claude)"
            it.premium.model = "gpt-large"
            (it.folder / "judged.db").unlink()
            (it.folder / "calibrations.json").unlink()
            both = await it.run("--json", "--judge", "premium", "--judge", "home")
            assert (both.lane("home")["mean"], both.lane("premium")["mean"]) == (1, 1)
            assert {seen.body["model"] for seen in it.home.seen if judged(seen)} == {"home-model"}

    run(whole)


def test_a_judge_sees_only_what_its_lane_may_see(tmp_path: Path) -> None:
    """Where the wall shuts the judge's lane, by the sample's class or by an answer's text, no byte goes there."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.home.answer = lambda body: (
                "kind 19900101-0017 ZANZIBAR" if any(f"number {n} so" in f"{body}" for n in (0, 10)) else "kind words"
            )
            it.premium.answer = lane("", honest)
            judge_set(it, 21)
            path = it.folder / "flags.jsonl"
            *before, last = path.read_text("utf-8").splitlines()
            path.write_text("\n".join([*before, json.dumps(json.loads(last) | {"sensitivity": "restricted"})]), "utf-8")
            done = await ask(it)
            home = done.lane("home")
            reasons = " ".join(home["unscored"])
            assert sum(home["unscored"].values()) == 3  # 0 and 10 for the number in the answer, 20 for its class
            assert "premium may not see this sample: wall[0]: restricted" in reasons
            assert not any(b"ZANZIBAR" in seen.raw or b"number 20" in seen.raw for seen in it.premium.seen)

    run(whole)


def test_a_judge_that_is_down_leaves_samples_open(tmp_path: Path) -> None:
    """Nothing is written into the ledger, what was answered stays, and the same command goes on from there."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.home.answer, it.premium.answer, it.premium.fault = "kind words", lane("", honest), "500"
            judge_set(it)
            done = await ask(it, "--patience", "0")
            home = done.lane("home")
            assert (done.code, home["answered"], home["open"]["ungraded"]["count"], it.ledger()) == (1, 0, 20, ())
            assert "judge premium could not be held against labels" in home["open"]["ungraded"]["message"]
            it.premium.fault = None
            done = await ask(it)
            assert (done.code, done.lane("home")["kept"], done.lane("home")["mean"]) == (0, 20, 1)

    run(whole)


def test_without_a_judge_rubrics_stay_open(tmp_path: Path) -> None:
    """It says how to name one; what was graded before is not taken back."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.home.answer, it.premium.answer = "kind words", lane("", honest)
            judge_set(it)
            done = await it.run("--json", "--lane", "home")
            assert done.code == 1
            assert "name one with --judge" in done.lane("home")["open"]["ungraded"]["message"]
            assert it.ledger() == ()
            wrong = await it.run("--judge", "premum")
            assert wrong.code == 2
            assert "no lane `premum`, which is to judge; did you mean `premium`?" in " ".join(wrong.err.split())

    run(whole)


def test_a_judge_is_paid_from_the_budget(tmp_path: Path) -> None:
    """Its calls count; where they could cost too much, samples stay open."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.home.answer, it.premium.answer = "kind words", lane("", honest)
            judge_set(it)
            done = await ask(it, "--budget", "0.04")
            assert done.code == 1
            assert done.json["spent"] <= 0.04
            assert "is left of the budget" in done.lane("home")["open"]["ungraded"]["message"]

    run(whole)


async def prefer(it: Case, *arguments: str) -> Ended:
    """`laneway eval prefer home premium --judge third`."""
    command = ("-m", "laneway.cli", "eval", "prefer", "home", "premium", "--policy", f"{it.folder / 'laneway.yaml'}")
    pipe = asyncio.subprocess.PIPE
    return await ended(await asyncio.create_subprocess_exec(
        sys.executable, *command, "--judge", "third", *arguments, env=os.environ | {"PREMIUM_KEY": "sk-canary-key"},
        stdout=pipe, stderr=pipe,
    ))  # fmt: skip


def with_third(it: Case, third: ScriptedLane) -> None:
    """Add a lane that only judges."""
    lane = f'  third: {{kind: local, provider: openai, url: "{third.url}", model: third-model, price: 0}}'
    strength = "strength: [home, premium]"
    it.write_policy(**{strength: f"{lane}\nstrength: [home, premium, third]", "total: 10s": "total: 15s"})


def better(body: dict[str, Any]) -> str:
    """The kinder one."""
    asked = json.loads(body["messages"][-1]["content"])
    first, second = (asked[place].startswith("kind") for place in ("first", "second"))
    return "TIE" if first == second else "FIRST" if first else "SECOND"


def test_a_judge_says_whose_answers_are_better(tmp_path: Path) -> None:
    """Answers on file are shown in both orders; what survives the swap counts, and again costs no call."""

    async def whole() -> None:
        async with case(tmp_path) as it, ScriptedLane(model="third-model", answer=better) as third:
            with_third(it, third)
            it.home.answer, it.premium.answer = "kind words", "rude words"
            judge_set(it)
            await it.run("--lane", "home", "--lane", "premium")
            third.seen.clear()
            done = await prefer(it, "--json")
            assert (done.code, done.err) == (0, "")
            ((found,),) = (one["judges"] for one in done.json["sets"])
            assert (found["pairs"], found["a"], found["b"], found["position"]) == (20, 20, 0, 0)
            assert (found["b_against_a"]["verdict"], found["refused"]) == ("worse", None)
            assert len(third.seen) == 2 * 20 + 2 * 20
            shown = await prefer(it)
            assert "judge third: home in 20, premium in 0, tie in 0, not the same in both orders 0 (0%)" in shown.out
            assert "premium against home: worse, -1.000" in shown.out
            assert len(third.seen) == 80

    run(whole)


def test_a_judge_that_prefers_a_position_is_refused_with_the_figure(tmp_path: Path) -> None:
    """Whatever stands first is better to it: the swap shows that before its preferences count for anything."""

    async def whole() -> None:
        async with case(tmp_path) as it, ScriptedLane(model="third-model", answer="FIRST") as third:
            with_third(it, third)
            it.home.answer, it.premium.answer = "kind words", "rude words"
            judge_set(it)
            await it.run("--lane", "home", "--lane", "premium")
            done = await prefer(it)
            said = " ".join(done.out.split())
            assert "judge third is refused: it prefers the first position (20 of 20 times" in said
            assert "20 of 20 outcomes did not survive the swap (100%; at most 20% may)" in said

    run(whole)
