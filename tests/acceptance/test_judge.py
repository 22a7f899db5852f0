"""A judge is one more hop: behind the wall, on record, paid for, and only a plain "pass" passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.harness import Bench, bench, run

from laneway.judge import INSTRUCTION
from laneway.providers.scripted import Scripted, Seen

JUDGED = {"more_gate": "\n  judge: [premium, home]"}
RESTRICTED = {"laneway-sensitivity": "restricted"}


def judges(verdict: str, answer: str = "from premium") -> Callable[[dict[str, object]], str | Scripted]:
    """A lane that says `verdict` where it is asked to judge, and `answer` where it is asked to answer."""
    return lambda body: verdict if INSTRUCTION in str(body["messages"]) else answer


def asked_to_judge(lane: Any) -> list[Seen]:
    """What a lane was sent to judge."""
    return [seen for seen in lane.seen if INSTRUCTION.encode() in seen.raw]


def hops(b: Bench) -> list[tuple[str, str, str | None]]:
    """Lane, why and what a judge said of each attempt of the last request."""
    outcome = b.story().outcome
    assert outcome is not None
    return [(a.lane, a.why, a.said) for a in outcome.entry.attempts]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_the_judge_passes_is_used(tmp_path: Path, stream: bool) -> None:
    """The judge is asked once, sees question and answer, is on record, and the weaker lane's answer goes out."""

    async def check() -> None:
        async with bench(tmp_path, **JUDGED) as b:
            b.premium.answer = judges("PASS")
            got = await b.ask("What is two and two?", stream=stream)
            assert (got.status, got.headers["laneway-lane"]) == (200, "home")
            assert b"home" in got.body
            assert hops(b) == [("home", "first", None), ("premium", "judge", "pass")]
            (seen,) = asked_to_judge(b.premium)
            assert b"What is two and two?" in seen.raw
            assert b"from home" in seen.raw
            story = b.story()
            assert [(i.entry.lane, i.entry.why) for i in story.intents] == [("home", "first"), ("premium", "judge")]
            assert story.outcome is not None
            verdict = story.outcome.entry.verdict
            assert verdict is not None
            assert (verdict.verdict, verdict.failed) == ("pass", ())
            spent = sum(a.cost or 0 for a in story.outcome.entry.attempts)
            assert story.outcome.entry.cost == pytest.approx(spent)
            assert spent > 0

    run(check)


@pytest.mark.parametrize("says", ["FAIL", "Fail.", "I think so.", "PASS it on to somebody else", "", "PASS\nor FAIL?"])
def test_an_answer_that_the_judge_does_not_plainly_pass_is_redone(tmp_path: Path, says: str) -> None:
    """A refusal, a doubt or anything unclear counts as weak: the stronger lane answers, and is judged by the other."""

    async def check() -> None:
        async with bench(tmp_path, **JUDGED) as b:
            b.premium.answer = judges(says)
            b.home.answer = judges("**PASS**", "from home")
            got = await b.ask("What is two and two?")
            assert (got.status, got.headers["laneway-lane"]) == (200, "premium")
            said = "fail" if says in ("FAIL", "Fail.") else "unclear" if says else None
            assert hops(b)[:2] == [("home", "first", None), ("premium", "judge", said or "unclear")]
            assert hops(b)[2:3] == [("premium", "escalation", None)]
            outcome = b.story().outcome
            assert outcome is not None
            first = outcome.entry.attempts[0].verdict
            assert first is not None
            assert (first.verdict, first.failed) == ("escalate", ("judge",))

    run(check)


def test_restricted_answers_are_never_judged_behind_the_wall(tmp_path: Path) -> None:
    """The only judge is shut to restricted data, so the answer counts as doubtful, and no byte reaches the judge."""

    async def check() -> None:
        async with bench(tmp_path, on_weak="hold", more_gate="\n  judge: [premium]") as b:
            got = await b.ask("Hello there", RESTRICTED)
            assert (got.status, got.error["code"]) == (403, "held_weak")
            assert b.premium.seen == []
            assert hops(b) == [("home", "first", None)]

    run(check)


def test_an_answer_that_raises_the_class_is_not_sent_to_a_judge_outside(tmp_path: Path) -> None:
    """A public question may go to premium; the answer holds a personal number, which may not go there to be judged."""

    async def check() -> None:
        async with bench(tmp_path, on_weak="hold", more_gate="\n  judge: [premium]") as b:
            b.home.answer = "Her number is 19811218-9876."
            b.premium.answer = judges("PASS")
            got = await b.ask("What is her number?", {"laneway-sensitivity": "public"})
            assert asked_to_judge(b.premium) == []
            assert [h[1] for h in hops(b)] == ["first", "escalation"]
            assert (got.status, got.error["code"]) == (403, "held_weak")

    run(check)


def test_a_lane_never_judges_its_own_answer_or_its_own_model(tmp_path: Path) -> None:
    """Where the plan's only judge wrote the answer, nobody judged it, and that counts as a doubt."""

    async def check() -> None:
        async with bench(tmp_path, on_weak="hold", more_gate="\n  judge: [home]") as b:
            b.home.answer = judges("PASS", "from home")
            got = await b.ask("Hello there", RESTRICTED)
            assert (got.status, got.error["code"]) == (403, "held_weak")
            assert len(b.home.seen) == 1

    run(check)


@pytest.mark.parametrize("fault", ["503", "garbage", "hang", "truncated", "empty"])
def test_a_judge_that_fails_counts_as_a_doubt(tmp_path: Path, fault: Any) -> None:
    """The next judge is asked where there is one; where none can say, the answer is not used as if it were good."""

    async def check() -> None:
        async with bench(tmp_path, on_weak="hold", total="1s", more_gate="\n  judge: [premium]") as b:
            b.premium.fault = fault
            got = await b.ask("Hello there")
            assert (got.status, got.error["code"]) == (403, "held_weak")
            assert [h[:2] for h in hops(b)][:2] == [("home", "first"), ("premium", "judge")]

    run(check)


def test_an_answer_that_fails_a_mechanical_check_is_not_sent_to_a_judge(tmp_path: Path) -> None:
    """What is plainly weak is redone without asking anybody."""

    async def check() -> None:
        async with bench(tmp_path, **JUDGED) as b:
            b.home.fault = "empty"
            b.premium.answer = judges("PASS")
            assert (await b.ask("Hello there")).headers["laneway-lane"] == "premium"
            assert asked_to_judge(b.premium) == []

    run(check)


def test_an_answer_whose_verdict_changes_nothing_is_not_judged(tmp_path: Path) -> None:
    """Where a weak answer would be released all the same, no judge is paid: the strongest lane's, marked."""

    async def check() -> None:
        async with bench(tmp_path, **JUDGED) as b:
            got = await b.ask("Hello there", model="lane/premium")
            assert got.status == 200
            assert hops(b) == [("premium", "first", None)]

    run(check)


def test_a_judge_that_the_ceiling_does_not_afford_is_not_asked(tmp_path: Path) -> None:
    """What is left of the request's money must pay the judge too."""

    async def check() -> None:
        async with bench(tmp_path, on_weak="hold", more_gate="\n  judge: [premium]") as b:
            b.premium.answer = judges("PASS")
            got = await b.ask("Hello there", {"laneway-ceiling": "0.0012"}, max_tokens=64)
            assert asked_to_judge(b.premium) == []
            assert got.error["code"] == "held_weak"

    run(check)


def test_what_cannot_be_read_as_text_is_not_judged(tmp_path: Path) -> None:
    """A judge reads text alone, so an answer about a picture stays doubtful."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

    async def check() -> None:
        async with bench(tmp_path, on_weak="hold", more_gate="\n  judge: [premium]") as b:
            b.messages = [{"role": "user", "content": [picture]}]  # type: ignore[dict-item]
            got = await b.ask()
            assert got.error["code"] == "held_weak"
            assert asked_to_judge(b.premium) == []

    run(check)


def test_the_plan_names_who_judges(tmp_path: Path) -> None:
    """The recorded decision lists the judges, with a reason that cites the gate."""

    async def check() -> None:
        async with bench(tmp_path, **JUDGED) as b:
            b.premium.answer = judges("PASS")
            await b.ask("Hello there")
            decision = b.story().opening.decision
            assert decision.judge == ("premium", "home")  # type: ignore[union-attr]
            (reason,) = [r for r in decision.reasons if r.code == "judge"]
            assert (reason.rule, reason.effect) == ("gate", "an answer is judged by premium, else home")

    run(check)
