"""The review: which tasks escalated, which answers were rejected, which fallbacks fired, and how often."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.policies import TODAY, route

from laneway.decision import Reason, Refuse
from laneway.facts import Facts
from laneway.record import Attempt, Feedback, Intent, Opening, Outcome, Status, Verdict
from laneway.report import Recorded, Row, ending, review
from laneway.signals import Ask, Signals

FALLBACK = Reason("fallback", "fallbacks[1]", "", "if home fails: premium", "The next one takes over.")
PLAN = route("home", "premium", escalate=("premium",))
ROUTE = route("home", "premium", escalate=("premium",), reasons=(*PLAN.reasons, FALLBACK))
WEAK = Verdict("escalate", ("empty",))


def opening(workload: str | None = None, decision: Any = ROUTE) -> Opening:
    """What was decided."""
    signals = Signals(sensitivity="internal", workload=workload)
    return Opening(policy="p", model="auto", ask=Ask(), signals=signals, facts=Facts(today=TODAY), decision=decision,
                   stream=False, prompt="c", size=1)  # fmt: skip


def intent(id: str, attempt: int, lane: str, why: Any, cause: str = "") -> Intent:
    """One call that was about to be made."""
    return Intent(id=id, attempt=attempt, lane=lane, why=why, cause=cause)


def attempt(lane: str, why: Any = "first", result: str = "answered", verdict: Verdict | None = None) -> Attempt:
    """One call that was made."""
    return Attempt(lane=lane, why=why, result=result, started_ms=0, ended_ms=1, verdict=verdict)


def story(
    id: str, intents: list[Intent], attempts: list[Attempt], status: Status = "answered", workload: str | None = None
) -> Recorded:
    """One request from its first entry to its last."""
    return Recorded(id, opening(workload), tuple(intents), Outcome(id=id, status=status, attempts=tuple(attempts)))


def plain(id: str) -> Recorded:
    """A request that the first lane answered well."""
    return story(id, [intent(id, 1, "home", "first")], [attempt("home", verdict=Verdict("pass"))])


def escalated(id: str, workload: str | None = None) -> Recorded:
    """A request whose weak answer a stronger lane redid."""
    calls = [intent(id, 1, "home", "first"), intent(id, 2, "premium", "escalation")]
    return story(
        id,
        calls,
        [attempt("home", verdict=WEAK), attempt("premium", "escalation", verdict=Verdict("pass"))],
        workload=workload,
    )


def fallen_back(id: str, cause: str = "late") -> Recorded:
    """A request whose first lane failed."""
    calls = [intent(id, 1, "home", "first"), intent(id, 2, "premium", "fallback", cause)]
    return story(id, calls, [attempt("home", result=cause), attempt("premium", "fallback", verdict=Verdict("pass"))])


def test_a_hedge_is_neither_a_fallback_nor_what_escalated() -> None:
    """A weak answer escalates from the lane that gave it, be that the hedged lane or its hedge."""
    calls = [intent("a", 1, "home", "first"), intent("a", 2, "rack", "hedge"), intent("a", 3, "premium", "escalation")]
    for weak, lost in (("home", "rack"), ("rack", "home")):
        why = {"home": "first", "rack": "hedge"}
        made = [attempt(weak, why[weak], verdict=WEAK), attempt(lost, why[lost], "cancelled")]
        found = review([story("a", calls, [*made, attempt("premium", "escalation", verdict=Verdict("pass"))])])
        assert [(row.lane, row.cause) for row in found.escalated] == [(f"{weak} -> premium", "empty")]
        assert found.fallbacks == []


def test_an_empty_log_has_an_empty_review() -> None:
    """Without requests there is nothing to count."""
    assert tuple(review([])) == (0, {}, {}, [], [], [], [])


def test_a_plain_request_is_counted_and_nothing_else() -> None:
    """A request that went as planned appears in the frame and in no table."""
    assert tuple(review([plain("a"), plain("b")])) == (2, {"answered": 2}, {"answered": 2}, [], [], [], [])


def test_an_escalation_is_one_row_and_its_weak_answer_another() -> None:
    """What escalated names the hop, the rule that ranked and the checks that failed; the weak answer is rejected."""
    found = review([escalated("a", "chat")])
    assert found.escalated == [Row("chat", "routes[0]", "home -> premium", "empty", 1, "a")]
    assert found.rejected == [Row("chat", "gate", "home", "empty -> escalate", 1, "a")]
    assert found.fallbacks == []


def test_a_fallback_names_its_rule_and_cause() -> None:
    """What fell back names the hop, the rule that allowed it and why the lane before failed."""
    found = review([fallen_back("a")])
    assert found.fallbacks == [Row("(none)", "fallbacks[1]", "home -> premium", "late", 1, "a")]
    assert (found.escalated, found.rejected) == ([], [])


def test_equal_events_are_one_row_with_the_newest_example() -> None:
    """Rows count what is equal in workload, rule, lane and cause, and show the newest example."""
    found = review([fallen_back("a"), fallen_back("b", "rate-limit"), fallen_back("c"), fallen_back("d")])
    assert [(row.cause, row.times, row.example) for row in found.fallbacks] == [
        ("late", 3, "d"),
        ("rate-limit", 1, "b"),
    ]


def test_different_workloads_are_different_rows() -> None:
    """The same event in two workloads is told apart."""
    found = review([escalated("a", "chat"), escalated("b", "contracts"), escalated("c")])
    assert {row.workload for row in found.escalated} == {"chat", "contracts", "(none)"}


def test_a_retry_is_no_fallback() -> None:
    """Asking the same lane again is neither a fallback nor an escalation."""
    calls = [intent("a", 1, "home", "first"), intent("a", 2, "home", "retry", "unreachable")]
    found = review([story("a", calls, [attempt("home", result="unreachable"), attempt("home", "retry")])])
    assert (found.escalated, found.fallbacks) == ([], [])


def test_each_hop_of_a_chain_is_counted() -> None:
    """A request that fell back twice and then escalated shows every hop once."""
    calls = [
        intent("a", 1, "home", "first"), intent("a", 2, "rack", "fallback", "late"),
        intent("a", 3, "shared", "fallback", "rate-limit"), intent("a", 4, "premium", "escalation"),
    ]  # fmt: skip
    attempts = [
        attempt("home", result="late"),
        attempt("rack", result="rate-limit"),
        attempt("shared", verdict=WEAK),
        attempt("premium"),
    ]
    found = review([story("a", calls, attempts)])
    assert [(row.lane, row.cause) for row in found.fallbacks] == [
        ("home -> rack", "late"),
        ("rack -> shared", "rate-limit"),
    ]
    assert [(row.lane, row.cause) for row in found.escalated] == [("shared -> premium", "empty")]


def test_a_marked_and_a_held_answer_are_rejected_ones() -> None:
    """An answer that failed the gate is in the table of rejected answers, whatever followed."""
    verdicts = [
        Verdict("marked", ("empty", "cut-off"), released=True),
        Verdict("hold", ("empty",)),
        Verdict("refuse", ("empty",)),
    ]
    stories = [
        story(str(i), [intent(str(i), 1, "home", "first")], [attempt("home", verdict=v)], "held")
        for i, v in enumerate(verdicts)
    ]
    found = review(stories)
    assert [row.cause for row in found.rejected] == ["empty, cut-off -> marked", "empty -> hold", "empty -> refuse"]
    assert found.statuses == {"held": 3}


def test_an_answer_that_people_rejected_is_a_rejected_one() -> None:
    """It is a row of its answering lane, once however many said so; who took it back, or praised, makes none."""

    def said(by: str, accepted: bool, source: Any = "user") -> Feedback:
        return Feedback(id="a", accepted=accepted, by=by, source=source)

    def spoken(id: str, *words: Feedback) -> Recorded:
        outcome = Outcome(id=id, status="answered", lane="home", attempts=(attempt("home", verdict=Verdict("pass")),))
        return Recorded(id, opening("chat"), (intent(id, 1, "home", "first"),), outcome, words)

    found = review([
        spoken("a", said("ann", False), said("bo", False), said("cy", True)),
        spoken("b", said("ann", False), said("ann", True)),
        spoken("c", said("ann", True)),
        spoken("d", said("ann", False), said("ann", True, "operator"), said("lena", False, "operator")),
        spoken("e", said("ann", False)),
    ])  # fmt: skip
    assert found.rejected == [
        Row("chat", "feedback", "home", "by user", 2, "e"),
        Row("chat", "feedback", "home", "by operator and user", 1, "d"),
    ]


def test_a_request_without_an_end_is_open() -> None:
    """A request that is under way, or whose server was killed, counts as open, and its hops count too."""
    calls = (
        intent("a", 1, "home", "first"),
        intent("a", 2, "premium", "fallback", "late"),
        intent("a", 3, "x", "escalation"),
    )
    found = review([Recorded("a", opening(), calls, None)])
    assert found.statuses == {"open": 1}
    assert [row.lane for row in found.fallbacks] == ["home -> premium"]
    assert [(row.lane, row.cause) for row in found.escalated] == [("premium -> x", "")]


def test_a_request_that_was_turned_away_is_counted() -> None:
    """A refusal calls no lane: it is in the frame alone, and told from an outage by its code."""
    refused = Refuse(reasons=(Reason("no-lane", "routes[0]", "", "none"),), rejected=())
    outcome = Outcome(id="a", status="refused", code="no_lane")
    out = Outcome(id="b", status="refused", code="lanes_failed")
    found = review([Recorded("a", opening(decision=refused), (), outcome), Recorded("b", opening(), (), out)])
    ends = {"refused (no_lane)": 1, "refused (lanes_failed)": 1}
    assert tuple(found) == (2, {"refused": 2}, ends, [], [], [], [])


def test_an_ending_says_each_word_once() -> None:
    """The code stands beside the status where it says more, and an open request has neither."""
    ends = [Outcome(id="a", status="cancelled"), Outcome(id="a", status="interrupted", code="interrupted"), None]
    assert [ending(outcome) for outcome in ends] == ["cancelled", "interrupted", "open"]


@given(st.lists(st.sampled_from([plain, escalated, fallen_back]), max_size=20))
def test_counts_add_up(kinds: list[Any]) -> None:
    """However many requests there are, every one is in the frame and every event in exactly one row."""
    found = review(kind(str(i)) for i, kind in enumerate(kinds))
    assert found.requests == sum(found.statuses.values()) == len(kinds)
    assert sum(row.times for row in found.escalated) == kinds.count(escalated)
    assert sum(row.times for row in found.rejected) == kinds.count(escalated)
    assert sum(row.times for row in found.fallbacks) == kinds.count(fallen_back)
