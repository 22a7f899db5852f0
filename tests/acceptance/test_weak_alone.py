"""Restricted, hard, and nothing stronger that may see it: a weak answer ends as the policy's last word says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.harness import Bench, bench, run

HEADERS = {"laneway-sensitivity": "restricted"}
HARD = "Compare the two trials of zanzibarin and assess their risk of bias."
ENDS = {"hold": (403, "held_weak", "held"), "refuse": (403, "refused_weak", "refused"), "marked": (200, "", "answered")}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("last", ENDS)
def test_a_weak_answer_with_nowhere_to_go_ends_as_the_policy_says(tmp_path: Path, last: str, stream: bool) -> None:
    """The one lane is asked once, the stronger one gets not a byte, and client and record say what happened."""
    status, code, end = ENDS[last]

    async def check() -> None:
        async with bench(tmp_path, on_weak=last) as b:
            b.home.answer, b.home.fault = "The dose is five milligrams twice a day.", "cut-off"
            got = await b.ask(HARD, HEADERS, stream=stream)
            assert got.status == status
            _told(b, end, withheld=bool(code))
            if code:
                assert got.error["code"] == code
                assert b"dose" not in got.body
            else:
                assert b"dose" in got.body
                assert got.headers["laneway-lane"] == "home"
                assert stream or got.headers["laneway-verdict"].startswith("marked")
            assert len(b.home.seen) == 1
            assert (b.premium.connections, b.premium.seen) == (0, [])

    run(check)


def _told(b: Bench, end: str, *, withheld: bool) -> None:
    """What is on record: who was shut and why, one attempt, and a verdict that names the check."""
    story = b.story()
    decision, signals = story.opening.decision, story.opening.signals
    assert (signals.sensitivity, signals.difficulty) == ("restricted", "hard")
    assert [(reason.lane, reason.rule) for reason in decision.rejected] == [("premium", "wall[0]")]
    assert story.outcome is not None
    outcome = story.outcome.entry
    assert [(attempt.lane, attempt.why) for attempt in outcome.attempts] == [("home", "first")]
    assert outcome.status == end
    assert outcome.verdict is not None
    assert outcome.verdict.failed == ("cut-off",)
    assert (outcome.verdict.verdict != "marked") == withheld
    assert b.verified()
