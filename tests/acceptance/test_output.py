"""A workload's contract holds whichever lane answers: a broken answer is redone by the stronger lane, and `why` says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.harness import bench, run

from laneway.cli import main

ENGLISH = "The notice period is three months, and it begins on the first day of the month after the notice was given."
SWEDISH = (
    "Uppsägningstiden är tre månader, och den börjar den första dagen i månaden efter att uppsägningen har gjorts."
)
ANSWERS = "\n  answers: {output: {language: sv}}"


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_in_the_wrong_language_is_redone_and_the_reason_is_told(tmp_path: Path, stream: bool) -> None:
    """English where Swedish is asked escalates; the client gets the Swedish answer, and `why` names `contract`."""

    async def check() -> None:
        async with bench(tmp_path, more_work=ANSWERS) as b:
            b.home.answer, b.premium.answer = ENGLISH, SWEDISH
            got = await b.ask("Hur lång är uppsägningstiden?", model="answers", stream=stream)
            assert (got.status, got.headers["laneway-lane"], got.headers["laneway-verdict"]) == (200, "premium", "pass")
            assert "Uppsägningstiden".encode() in got.body
            assert b"notice period" not in got.body
            outcome = b.story().outcome
            assert outcome is not None
            first, second = (attempt.verdict for attempt in outcome.entry.attempts)
            assert first is not None
            assert second is not None
            assert (first.verdict, first.failed, second.verdict) == ("escalate", ("contract",), "pass")

    run(check)
    told = CliRunner().invoke(main, ["why", "last", "--log", str(tmp_path / "laneway.db")])
    assert told.exit_code == 0, told.output
    assert "gate: escalate (contract)" in " ".join(told.output.split())


def test_other_work_is_not_held_to_it(tmp_path: Path) -> None:
    """A request for no workload, or another one, may be answered in any language."""

    async def check() -> None:
        async with bench(tmp_path, more_work=ANSWERS) as b:
            b.home.answer = ENGLISH
            got = await b.ask("How long is the notice period?")
            assert (got.headers["laneway-lane"], got.headers["laneway-verdict"]) == ("home", "pass")

    run(check)


def test_an_answer_that_no_lane_gives_as_asked_ends_as_the_policy_says(tmp_path: Path) -> None:
    """Where the stronger lane breaks the contract too, the policy's last word decides."""

    async def check() -> None:
        async with bench(tmp_path, more_work=ANSWERS, on_weak="refuse") as b:
            b.home.answer = b.premium.answer = ENGLISH
            got = await b.ask("Hur lång är uppsägningstiden?", model="answers")
            assert (got.status, got.error["code"]) == (403, "refused_weak")
            assert "contract" in got.error["message"]
            assert ENGLISH.encode() not in got.body

    run(check)
