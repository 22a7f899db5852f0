"""Explanations: the scripts' contract is pinned key by key, and every sentence cites the rule's own words."""

from __future__ import annotations

import datetime
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policies import CLASSES, TODAY, full, policies, route

from laneway.decide import decide
from laneway.decision import Decision, Hold, Reason, Refuse, Route
from laneway.explain import (
    attempt_line,
    contract,
    exit_code,
    headline,
    money,
    reason_parts,
    signal_lines,
    story_contract,
)  # fmt: skip
from laneway.facts import Facts
from laneway.record import Attempt, Opening, Outcome, Verdict
from laneway.signals import Ask, Evidence, Signals

CONTRACT = {
    "decision", "lanes", "rejected", "reasons", "signals", "release", "estimated_cost", "policy_hash", "plan",
}  # fmt: skip
STORY = CONTRACT | {"asked", "attempts", "verdict", "outcome", "code", "lane", "cost", "times"}
PLAN = {
    "first", "fallback", "on_failure", "escalate", "judge", "on_weak", "evidence", "first_byte", "total", "hedge",
    "output_caps", "shadow",
}  # fmt: skip
SIGNALS = {
    "sensitivity", "difficulty", "stakes", "latency", "ceiling", "tokens", "needs", "workload", "team", "region",
    "declared", "evidence",
}  # fmt: skip

POLICY = full()
NO_MERGER: dict[str, str | float] = {"matter": "none"}
ROUTED = Signals(sensitivity="internal", declared=NO_MERGER)
HELD = Signals(sensitivity="confidential", workload="contract-review", stakes="high", declared=NO_MERGER)
REFUSED = Signals(sensitivity="confidential", needs=("vision",), tokens=10**9, declared=NO_MERGER)


def decided(signals: Signals, **ask: Any) -> Decision:
    """What the full example decides."""
    return decide(POLICY, Ask(**ask), signals, Facts(today=TODAY, closed={"rack": "its key is not set"}))


def explained(signals: Signals, **ask: Any) -> dict[str, Any]:
    """The contract of what the full example decides, as a script would read it."""
    made: dict[str, Any] = json.loads(msgspec.json.encode(contract(decided(signals, **ask), signals, POLICY.hash)))
    return made


CASES = [(ROUTED, Route, "route", 0), (REFUSED, Refuse, "refuse", 3), (HELD, Hold, "hold", 4)]


@pytest.mark.parametrize(("signals", "kind", "name", "code"), CASES)
def test_the_contract_has_exactly_these_keys(signals: Signals, kind: type, name: str, code: int) -> None:
    """Every decision is one object with the same keys, whatever was decided."""
    decision = decided(signals)
    assert isinstance(decision, kind)
    assert exit_code(decision) == code
    made = explained(signals)
    assert set(made) == CONTRACT
    assert made["decision"] == name
    assert made["policy_hash"] == POLICY.hash
    assert set(made["signals"]) == SIGNALS


@pytest.mark.parametrize("signals", [ROUTED, REFUSED, HELD])
def test_reasons_and_rejections_have_exactly_these_keys(signals: Signals) -> None:
    """A reason says code, rule, sentence, signal, effect and perhaps a lane; a rejection says lane and reason."""
    made = explained(signals)
    assert made["reasons"]
    for reason in made["reasons"]:
        assert set(reason) - {"lane"} == {"code", "rule", "says", "signal", "effect"}
    for rejection in made["rejected"]:
        assert set(rejection) == {"lane", "rule", "reason", "code", "says", "signal"}
        assert rejection["lane"]
        assert rejection["reason"]


def test_a_route_gives_its_plan() -> None:
    """A route names its lanes in the order in which they would be tried, and the plan that led to it."""
    made = explained(ROUTED)
    assert set(made["plan"]) == PLAN
    assert made["lanes"][0] == made["plan"]["first"] == "home"
    assert made["lanes"] == list(dict.fromkeys(["home", *made["plan"]["fallback"], *made["plan"]["escalate"]]))
    assert made["release"] == "now"
    assert made["estimated_cost"] == 0


def test_an_escalation_lane_is_among_the_lanes() -> None:
    """A lane that only redoes weak answers may be called too, so it is listed, once."""
    made = contract(route("a", "b", escalate=("b", "c")), ROUTED, "h")
    assert made["lanes"] == ["a", "b", "c"]


@pytest.mark.parametrize(("signals", "release"), [(REFUSED, "none"), (HELD, "after-approval")])
def test_what_is_no_route_has_no_lanes_and_no_cost(signals: Signals, release: str) -> None:
    """A refusal and a hold call nothing, so they list no lanes, no plan and no cost."""
    made = explained(signals)
    assert (made["lanes"], made["plan"], made["estimated_cost"]) == ([], None, None)
    assert made["release"] == release


def test_every_lane_is_accounted_for() -> None:
    """Each lane of the policy is either among the lanes or rejected with a reason, and none is both."""
    for signals in (ROUTED, REFUSED):
        made = explained(signals)
        rejected = [r["lane"] for r in made["rejected"]]
        assert sorted(made["lanes"] + rejected) == sorted(POLICY.lanes)


@given(policies(), st.sampled_from(CLASSES), st.booleans())
def test_every_lane_of_any_policy_is_accounted_for(made: Any, data_class: str, pinned: bool) -> None:
    """For any policy, each lane has exactly one place: in the plan, or among the rejected with a reason."""
    signals = Signals(sensitivity=data_class)
    pin = next(iter(made.lanes)) if pinned else None
    found: Any = contract(decide(made, Ask(pin=pin), signals, Facts(today=TODAY)), signals, made.hash)
    assert sorted(found["lanes"] + [r["lane"] for r in found["rejected"]]) == sorted(made.lanes)
    assert all(reason["effect"] and reason["rule"] for reason in found["reasons"])


OPENING = Opening(
    policy=POLICY.hash, model="auto", ask=Ask(), signals=ROUTED, facts=Facts(today=TODAY), decision=decided(ROUTED),
    stream=False, prompt="c" * 64, size=12,
)  # fmt: skip
ATTEMPT = Attempt(
    lane="home", why="first", result="answered", started_ms=1.0, ended_ms=251.4, first_byte_ms=41.0, model="m",
    tokens_in=10, tokens_out=20, cost=0.0, verdict=Verdict("escalate", ("empty", "cut-off")),
)  # fmt: skip


def test_a_story_has_exactly_these_keys() -> None:
    """A recorded request is the same object with attempts, verdict, outcome and times added."""
    verdict = Verdict("pass")
    outcome = Outcome(
        id="d1", status="answered", lane="home", verdict=verdict, attempts=(ATTEMPT,), cost=0.0, total_ms=260.0
    )
    made: Any = story_contract(OPENING, outcome, {"at": "now"}, [])
    assert set(made) == STORY
    assert made["outcome"] == "answered"
    assert made["asked"] == "auto"
    assert made["attempts"][0]["lane"] == "home"
    assert made["verdict"]["verdict"] == "pass"
    assert made["times"] == {"at": "now"}


def test_a_story_without_an_end_is_open() -> None:
    """A request that is still under way has the same keys, and the attempts that were begun."""
    started: list[dict[str, object]] = [{"lane": "home", "why": "first", "result": "open"}]
    made = story_contract(OPENING, None, {}, started)
    assert set(made) == STORY
    assert (made["outcome"], made["attempts"], made["verdict"], made["lane"]) == ("open", started, None, None)


# Sentences


def test_a_reason_cites_rule_signal_and_sentence() -> None:
    """A reason names its rule, the signal that made it speak, and the rule's own words."""
    reason = Reason("wall", "wall[0]", "sensitivity=restricted", "it may not", "Secrets stay here.", "away")
    assert reason_parts(reason) == ("it may not", 'wall[0], because sensitivity=restricted: "Secrets stay here."')


def test_a_reason_without_signal_or_sentence_is_short() -> None:
    """What a rule does not have is left out, not shown empty."""
    assert reason_parts(Reason("closed", "lanes", "", "its key is not set")) == ("its key is not set", "lanes")


@pytest.mark.parametrize("signals", [ROUTED, HELD])
def test_every_sentence_of_the_policy_that_spoke_is_cited(signals: Signals) -> None:
    """The first reason and the wall's reasons carry the very words that stand in the file."""
    decision = decided(signals)
    for reason in (*decision.reasons, *decision.rejected):
        if reason.code in ("route", "wall", "wall-open", "wall-limit", "approval-required", "fallback"):
            assert reason.says
            assert reason.says in POLICY.text
            assert f'"{reason.says}"' in reason_parts(reason)[1]


def test_headlines_say_what_was_decided() -> None:
    """A route names its lanes and what follows, a refusal and a hold their first reason."""
    line = headline(route("home", "shared", escalate=("premium",), total=60.0, first_byte=4.0), "EUR")
    assert line.startswith("Route to home, then shared if it fails; a weak answer goes to premium.")
    hedged = headline(route("home", "shared", hedge=1.5), "EUR")
    assert hedged.startswith("Route to home, then shared if it fails, or beside it after 1.5 s without a word.")
    assert "within 60 s (4 s to a stream's first byte)" in line
    assert "without a deadline" in headline(route("home"), "EUR")
    assert headline(decided(REFUSED), "EUR") == f"Refuse: {decided(REFUSED).reasons[0].effect}."
    assert headline(decided(HELD), "EUR").startswith("Hold: a person must approve")


@pytest.mark.parametrize(
    ("amount", "text"), [(None, "an unknown price"), (0.0, "0 EUR"), (0.4, "0.4000 EUR"), (0.00012, "0.0001 EUR")]
)
def test_money_is_never_guessed(amount: float | None, text: str) -> None:
    """An unknown amount is called unknown, and never nothing."""
    assert money(amount, "EUR") == text


def test_money_that_is_not_nothing_is_not_shown_as_nothing() -> None:
    """An amount too small for four decimals still does not read as zero."""
    assert any(digit in money(0.00001, "EUR") for digit in "123456789")


def test_signals_come_with_where_they_come_from() -> None:
    """Each signal is shown with the places that it was found in, and never with the text there."""
    found = (
        Evidence("sensitivity", "messages[0].content", "se.personnummer", "restricted"),
        Evidence("sensitivity", "policy unlabelled", "default", "internal"),
    )
    lines = {
        name: (value, origin) for name, value, origin in signal_lines(msgspec.structs.replace(ROUTED, evidence=found))
    }
    assert lines["sensitivity"] == (
        "internal", "messages[0].content: se.personnummer (restricted); policy unlabelled: default (internal)",
    )  # fmt: skip
    assert lines["ceiling"] == ("none", "")
    assert lines["matter"] == ("none", "")
    assert "team" not in lines


def test_an_attempt_is_one_sentence() -> None:
    """An attempt tells lane, why, result, times, tokens, money and what the gate said."""
    assert attempt_line(ATTEMPT, "EUR") == (
        "home (first): answered after 250 ms, first byte 40 ms, 10 + 20 tokens, 0 EUR, gate: escalate (empty, cut-off)"
    )


def test_an_attempt_tells_only_what_it_knows() -> None:
    """A failed attempt without tokens, money or verdict says so by leaving them out."""
    attempt = Attempt(lane="away", why="fallback", result="unreachable", started_ms=0.0, ended_ms=12.0)
    assert attempt_line(attempt, "EUR") == "away (fallback): unreachable after 12 ms"


def test_an_old_day_gives_an_old_answer() -> None:
    """An explanation depends on the day in the facts, and not on today."""
    late = decide(POLICY, Ask(), ROUTED, Facts(today=datetime.date(2031, 1, 1)))
    assert isinstance(late, Refuse)
    assert any("its waiver ended on 2026-12-20" in reason.effect for reason in late.rejected)
