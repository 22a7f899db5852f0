"""Calls of evaluations: who may see a question, what it may cost, and how many are under way."""

from __future__ import annotations

import asyncio
import math
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evals import case, rows
from tests.harness import run
from tests.policies import CLASSES, TODAY, full

from laneway.egress import guard
from laneway.errors import GuardError
from laneway.evidence.calling import Broke, Calls, Parameters, Purse
from laneway.evidence.plan import planned
from laneway.evidence.results import Result, Results
from laneway.evidence.run import Run, ask_all
from laneway.evidence.sample import Message, Sample
from laneway.evidence.scorers import Part, Score
from laneway.policy_file import load
from laneway.providers import Provider
from laneway.providers.http import HttpProvider

NOBODY = cast(Provider, None)
"""For calls that are never made."""


@pytest.mark.parametrize("matter", [None, "merger", "none"])
@pytest.mark.parametrize("workload", ["contract-review", "chat"])
@pytest.mark.parametrize("sensitivity", CLASSES)
def test_who_may_see_a_question_is_whom_the_guard_lets_see_it(
    sensitivity: str, workload: str, matter: str | None
) -> None:
    """The wall as evaluations read it shuts exactly the lanes that the guard, written apart, shuts."""
    policy = full()
    calls = Calls(policy, NOBODY, TODAY)
    labels = {"sensitivity": sensitivity, "workload": workload} | ({"fact-matter": matter} if matter else {})
    question = calls.question([Message("user", "Is it so?")], labels, Parameters())
    for lane in policy.lanes.values():
        if lane.name in question.shut:
            with pytest.raises(GuardError):
                guard(policy, question.request, question.signals, lane, TODAY)
        else:
            guard(policy, question.request, question.signals, lane, TODAY)
    outside = {"shared", "premium"} & question.shut.keys()
    assert matter == "none" or outside == {"shared", "premium"}  # what nobody said is read the strictest way


def test_a_lane_without_waiver_or_evidence_may_be_asked() -> None:
    """Evaluations are how a lane gets its first evidence, so that none is needed for them."""
    policy = full()
    bare = replace(policy, gate=replace(policy.gate, waivers=()))
    question = Calls(bare, NOBODY, TODAY).question(
        [Message("user", "Is it so?")],
        {"sensitivity": "public", "workload": "chat", "fact-matter": "none"},
        Parameters(),
    )
    assert question.shut.keys() <= {"bench"}


def test_what_does_not_fit_a_lane_is_left_out() -> None:
    """A text longer than a lane's context is not sent there, as live traffic would not be."""
    policy = full()
    long = [Message("user", "word " * 100_000)]
    labels = {"sensitivity": "public", "workload": "chat", "fact-matter": "none"}
    question = Calls(policy, NOBODY, TODAY).question(long, labels, Parameters())
    assert question.shut["shared"].code == "context"


@given(
    most=st.floats(0, 10),
    calls=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 1)), max_size=30),
)
@settings(max_examples=50, deadline=None)
def test_a_purse_is_never_overdrawn(most: float, calls: list[tuple[float, float]]) -> None:
    """Whatever calls run at once, what is spent and set aside stays within the purse, and nobody waits for ever."""
    purse = Purse(most)

    async def call(worst: float, share: float) -> bool:
        try:
            await purse.set_aside(worst)
        except Broke:
            return False
        assert purse.spent + purse.aside <= most + 1e-9
        await asyncio.sleep(0)
        purse.settle(worst, worst * share)
        return True

    async def whole() -> None:
        async with asyncio.timeout(10):
            made = await asyncio.gather(*(call(*one) for one in calls))
        assert purse.spent <= most + 1e-9
        assert purse.aside == 0
        assert not math.isnan(purse.spent)
        for (worst, _), was in zip(calls, made, strict=True):
            assert was or worst > most - purse.spent - 1e-9 or worst > most - 1e-9

    asyncio.run(whole())


def test_a_lane_gets_no_more_calls_at_once_than_its_limits_say(tmp_path: Path) -> None:
    """The lane's `limits` hold in evaluations as they do for clients."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            price = "model: home-model, price: 0"
            it.write_policy(**{price: price + ", limits: {concurrency: 2}"})
            it.write_set(rows(30))
            it.home.fault, it.home.seconds = "slow-first-byte", 0.01
            assert (await it.run("--lane", "home")).code == 0
            assert it.home.connections == 2

    run(whole)


class _Nan:
    async def score(self, _sample: Sample, _result: Result) -> Score:
        return Score(float("nan"), (Part("rubric", float("nan"), "no number"),))


def test_a_score_that_is_no_number_is_none(tmp_path: Path) -> None:
    """Whatever scores, NaN never becomes a score: the sample is unscored and counts as 0."""

    async def whole() -> None:
        async with case(tmp_path) as it:
            it.write_set([{"id": "r", "input": "And?", "scorers": [{"rubric": {"asks": "Is it kind?"}}]}, *rows(1)])
            policy = load(tmp_path / "laneway.yaml")
            provider = HttpProvider(policy.lanes, {})
            with closing(Results.open(tmp_path / "evals.db", write=True)) as results:
                going = Run(calls=Calls(policy, provider, TODAY), results=results, plan=planned(policy),
                            lanes=(policy.lanes["home"],), parameters=Parameters(), scoring=_Nan())  # fmt: skip
                await ask_all(going)
            await provider.close()
            (tally,) = going.tallies.values()
            assert tally.unscored == {"the score is nan, which is not within 0..1": 1}
            assert sorted(tally.scores()) == [0.0, 1.0]
            assert tally.evidence(0.95).bounds[""].mean == 0.5

    run(whole)
