"""The weekly review: which tasks escalated, which answers were rejected, which fallbacks fired, at what cost, and so on."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policies import FULL, TODAY, route

from laneway.decide import decide
from laneway.decision import Hold, Reason, Refuse
from laneway.explain import ending
from laneway.facts import Facts
from laneway.policy_file import parse
from laneway.record import (
    Attempt,
    Compared,
    Entry,
    Erased,
    Feedback,
    Intent,
    Opening,
    Outcome,
    Resolution,
    Review,
    Shut,
    Status,
    Stretch,
    Trial,
    Verdict,
)
from laneway.signals import Ask, Evidence, Signals
from laneway.store.chain import genesis, line, link
from laneway.store.rows import Row
from laneway.weekly import value
from laneway.weekly.frame import HOUR, Frame
from laneway.weekly.links import Links
from laneway.weekly.markdown import markdown
from laneway.weekly.page import page
from laneway.weekly.reading import reviewed
from laneway.weekly.scan import Found, Scan
from laneway.weekly.tally import Event
from laneway.weekly.telling import seconds

FALLBACK = Reason("fallback", "fallbacks[1]", "", "if home fails: premium", "The next one takes over.")
PLAN = route("home", "premium", escalate=("premium",))
ROUTE = route("home", "premium", escalate=("premium",), reasons=(*PLAN.reasons, FALLBACK))
WEAK = Verdict("escalate", ("empty",))
PASS = Verdict("pass")
DAY = 24 * HOUR
NOW = 1000 * DAY
WEEK = Frame.of(NOW - 7 * DAY, NOW, compared=True)
POLICY = parse(FULL, "full.yaml")


def opening(workload: str | None = None, decision: Any = ROUTE, policy: str = "p", **signals: Any) -> Opening:
    """What was decided."""
    made = Signals(**({"sensitivity": "internal", "workload": workload} | signals))
    return Opening(policy=policy, model="auto", ask=Ask(), signals=made, facts=Facts(today=TODAY), decision=decision,
                   stream=False, prompt="c", size=1)  # fmt: skip


def intent(id: str, attempt: int, lane: str, why: Any, cause: str = "", opened: Opening | None = None) -> Intent:
    """One call that was about to be made."""
    return Intent(id=id, attempt=attempt, lane=lane, why=why, cause=cause, opening=opened)


def attempt(
    lane: str, why: Any = "first", result: str = "answered", verdict: Verdict | None = None, **more: Any
) -> Attempt:
    """One call that was made."""
    return Attempt(lane=lane, why=why, result=result, started_ms=0, ended_ms=1, verdict=verdict, **more)


def story(
    id: str, calls: list[Intent], attempts: list[Attempt], status: Status = "answered", opened: Opening | None = None,
    **outcome: Any,
) -> list[Entry]:  # fmt: skip
    """One request from its first entry to its last."""
    first = msgspec.structs.replace(calls[0], opening=opened or opening())
    return [first, *calls[1:], Outcome(id=id, status=status, attempts=tuple(attempts), **outcome)]


def plain(id: str) -> list[Entry]:
    """A request that the first lane answered well."""
    return story(id, [intent(id, 1, "home", "first")], [attempt("home", verdict=PASS)], lane="home")


def escalated(id: str, workload: str | None = None) -> list[Entry]:
    """A request whose weak answer a stronger lane redid."""
    calls = [intent(id, 1, "home", "first"), intent(id, 2, "premium", "escalation")]
    made = [attempt("home", verdict=WEAK), attempt("premium", "escalation", verdict=PASS)]
    return story(id, calls, made, opened=opening(workload), lane="premium")


def fallen_back(id: str, cause: str = "late") -> list[Entry]:
    """A request whose first lane failed."""
    calls = [intent(id, 1, "home", "first"), intent(id, 2, "premium", "fallback", cause)]
    return story(id, calls, [attempt("home", result=cause), attempt("premium", "fallback", verdict=PASS)])


def chained(entries: Iterable[Entry], at: int = NOW - HOUR) -> list[Row]:
    """Entries as the log has them, each a second after the one before."""
    head, rows = genesis(b"salt"), list[Row]()
    for seq, entry in enumerate(entries, 1):
        when = at + seq * 1_000_000
        made = line(entry, when)
        head = link(head, seq, when, made.decision.encode(), made.kind.encode(), made.body)
        rows.append((seq, when, made.decision, made.kind, made.body, head))
    return rows


def found(rows: Iterable[Row], frame: Frame = WEEK, cuts: Iterable[int] = ()) -> Found:
    """What is in the rows, read in one stretch or cut behind these numbers and added up."""
    rows, by_id = list(rows), defaultdict[str, list[Row]](list)
    for row in rows:
        by_id[row[2]].append(row)
    places = [0, *cuts, len(rows)]
    heads = {0: genesis(b"salt")} | {row[0]: row[5] for row in rows}
    whole: Found | None = None
    for start, end in pairwise(places):
        scan = Scan(Found(Links(start, heads[start])), frame.slice, lambda id: by_id[id])
        scan.feed(rows[start:end])
        if whole is None:
            whole = scan.found
        else:
            whole.add(scan.found)
    assert whole is not None
    return whole


def review(*stories: Sequence[Entry], frame: Frame = WEEK) -> value.Review:
    """The review of stories that follow each other."""
    rows = chained(entry for told in stories for entry in told)
    return reviewed(found(rows, frame), frame, "7d", lambda hash: POLICY if hash == POLICY.hash else None)


def brief(rows: list[value.Row]) -> list[tuple[Any, ...]]:
    """A table's rows without what was before."""
    return [(row.workload, row.rule, row.lane, row.cause, row.times, row.example) for row in rows]


TABLES = ("escalated", "rejected", "fallbacks", "held", "raised", "guarded", "other_models", "shut")


def tables(made: value.Review) -> dict[str, list[tuple[Any, ...]]]:
    """The tables that have rows."""
    return {name: brief(getattr(made, name)) for name in TABLES if getattr(made, name)}


def test_an_empty_log_has_an_empty_review() -> None:
    """Without requests there is nothing to count."""
    made = review()
    assert (made.requests, made.before, made.statuses, made.ends, tables(made), made.money) == (0, 0, {}, {}, {}, [])


def test_a_plain_request_is_counted_and_nothing_else() -> None:
    """A request that went as planned appears in the frame and in no table."""
    made = review(plain("a"), plain("b"))
    assert (made.requests, made.statuses, made.ends, tables(made)) == (2, {"answered": 2}, {"answered": 2}, {})
    assert [(use.lane, use.answered) for use in made.lanes] == [("home", 2)]


def test_an_escalation_is_one_row_and_its_weak_answer_another() -> None:
    """What escalated names the hop, the rule that ranked and the checks that failed; the weak answer is rejected."""
    assert tables(review(escalated("a", "chat"))) == {
        "escalated": [("chat", "routes[0]", "home -> premium", "empty", 1, "a")],
        "rejected": [("chat", "gate", "home", "empty -> escalate", 1, "a")],
    }


def test_a_fallback_names_its_rule_and_cause() -> None:
    """What fell back names the hop, the rule that allowed it and why the lane before failed."""
    row = ("(none)", "fallbacks[1]", "home -> premium", "late", 1, "a")
    assert tables(review(fallen_back("a"))) == {"fallbacks": [row]}


def test_a_fallback_from_a_lane_that_was_passed_over_counts() -> None:
    """The only call may be a fallback's: the lane before it was left alone."""
    calls = [intent("a", 1, "premium", "fallback", "breaker-open")]
    made = [attempt("home", result="breaker-open", skipped=True), attempt("premium", "fallback", verdict=PASS)]
    row = ("(none)", "fallbacks[1]", "home -> premium", "breaker-open", 1, "a")
    assert tables(review(story("a", calls, made))) == {"fallbacks": [row]}


def test_a_hedge_is_neither_a_fallback_nor_what_escalated() -> None:
    """A weak answer escalates from the lane that gave it, be that the hedged lane or its hedge."""
    calls = [intent("a", 1, "home", "first"), intent("a", 2, "rack", "hedge"), intent("a", 3, "premium", "escalation")]
    for weak, lost in (("home", "rack"), ("rack", "home")):
        why = {"home": "first", "rack": "hedge"}
        made = [attempt(weak, why[weak], verdict=WEAK), attempt(lost, why[lost], "cancelled")]
        told = review(story("a", calls, [*made, attempt("premium", "escalation", verdict=PASS)]))
        assert [(row.lane, row.cause) for row in told.escalated] == [(f"{weak} -> premium", "empty")]
        assert told.fallbacks == []


def test_equal_events_are_one_row_with_the_newest_examples() -> None:
    """Rows count what is equal in workload, rule, lane and cause, and show the newest three examples."""
    made = review(*map(fallen_back, "ab"), fallen_back("c", "rate-limit"), *map(fallen_back, "de"))
    assert [(row.cause, row.times, row.examples) for row in made.fallbacks] == [
        ("late", 4, ("e", "d", "b")), ("rate-limit", 1, ("c",)),
    ]  # fmt: skip


def test_different_workloads_are_different_rows() -> None:
    """The same event in two workloads is told apart."""
    made = review(escalated("a", "chat"), escalated("b", "contracts"), escalated("c"))
    assert {row.workload for row in made.escalated} == {"chat", "contracts", "(none)"}


def test_a_retry_is_no_fallback() -> None:
    """Asking the same lane again is neither a fallback nor an escalation."""
    calls = [intent("a", 1, "home", "first"), intent("a", 2, "home", "retry", "unreachable")]
    assert tables(review(story("a", calls, [attempt("home", result="unreachable"), attempt("home", "retry")]))) == {}


def test_each_hop_of_a_chain_is_counted() -> None:
    """A request that fell back twice and then escalated shows every hop once."""
    calls = [
        intent("a", 1, "home", "first"), intent("a", 2, "rack", "fallback", "late"),
        intent("a", 3, "shared", "fallback", "rate-limit"), intent("a", 4, "premium", "escalation"),
    ]  # fmt: skip
    made = [attempt("home", result="late"), attempt("rack", result="rate-limit"), attempt("shared", verdict=WEAK)]
    told = review(story("a", calls, [*made, attempt("premium", "escalation")]))
    assert [(row.lane, row.cause) for row in told.fallbacks] == [
        ("home -> rack", "late"), ("rack -> shared", "rate-limit"),
    ]  # fmt: skip
    assert [(row.lane, row.cause) for row in told.escalated] == [("shared -> premium", "empty")]


def test_a_marked_and_a_held_answer_are_rejected_ones() -> None:
    """An answer that failed the gate is in the table of rejected answers, whatever followed."""
    verdicts = [Verdict("marked", ("empty", "cut-off"), released=True), Verdict("hold", ("empty",)),
                Verdict("refuse", ("empty",))]  # fmt: skip
    made = review(
        *(story(str(i), [intent(str(i), 1, "home", "first")], [attempt("home", verdict=v)], "held")
          for i, v in enumerate(verdicts))
    )  # fmt: skip
    assert [row.cause for row in made.rejected] == ["empty -> hold", "empty -> refuse", "empty, cut-off -> marked"]
    assert made.statuses == {"held": 3}


def said(id: str, by: str, accepted: bool, source: Any = "user") -> Feedback:
    """What somebody thought of an answer."""
    return Feedback(id=id, accepted=accepted, by=by, source=source)


SPOKEN = [
    [*plain("a"), said("a", "ann", False), said("a", "bo", False), said("a", "cy", True)],
    [*plain("b"), said("b", "ann", False), said("b", "ann", True)],
    [*plain("c"), said("c", "ann", True)],
    [*plain("d"), said("d", "ann", False), said("d", "ann", True, "operator"), said("d", "lena", False, "operator")],
    [*plain("e"), said("e", "ann", False)],
]


def test_an_answer_that_people_rejected_is_a_rejected_one() -> None:
    """It is a row of its answering lane, once however many said so; who took it back, or praised, makes none."""
    assert brief(review(*SPOKEN).rejected) == [
        ("(none)", "feedback", "home", "by user", 2, "e"),
        ("(none)", "feedback", "home", "by operator and user", 1, "d"),
    ]


def test_an_escalated_answer_that_people_reject_is_regretted_while_they_do() -> None:
    """What an escalation brought goes by the last word on it."""
    told = [*escalated("a"), said("a", "ann", False)]
    regretted = Event("yield", "(none)", "routes[0]", "home -> premium", "regretted")
    for stories, times in ((told, 1), ([*told, said("a", "ann", True)], 0)):
        seen = found(chained(stories)).tallies[6].events[regretted]
        assert seen.times == times


@given(st.sets(st.integers(1, 25)))
def test_a_log_read_in_stretches_is_the_same_log(cuts: set[int]) -> None:
    """However the records are cut, also within a request or between what somebody said and took back."""
    rows = chained(entry for told in (*SPOKEN, escalated("x"), fallen_back("y")) for entry in told)
    once, cut = found(rows), found(rows, cuts=sorted(cuts))
    assert reviewed(cut, WEEK, "7d", lambda _: None) == reviewed(once, WEEK, "7d", lambda _: None)
    assert cut.links.problem == ""


def test_a_request_without_an_end_is_open() -> None:
    """A request that is under way counts as open; its hops count once it has ended, however it ends."""
    calls: list[Entry] = [intent("a", 1, "home", "first", opened=opening()), intent("a", 2, "premium", "fallback", "late"),
             intent("a", 3, "x", "escalation")]  # fmt: skip
    made = review([*calls])
    assert (made.statuses, made.ends, tables(made)) == ({"open": 1}, {"open": 1}, {})
    made = review([*calls, Outcome(id="a", status="interrupted", code="interrupted")])
    assert [row.lane for row in made.fallbacks] == ["home -> premium"]
    assert [(row.lane, row.cause) for row in made.escalated] == [("premium -> x", "")]


def test_a_request_that_was_turned_away_is_counted() -> None:
    """A refusal calls no lane: it is in the frame alone, and told from an outage by its code."""
    refused = opening(decision=Refuse(reasons=(Reason("no-lane", "routes[0]", "", "none"),), rejected=()))
    out: list[Entry] = [
        intent("b", 1, "home", "first", opened=opening()),
        Outcome(id="b", status="refused", code="lanes_failed"),
    ]
    made = review([Outcome(id="a", status="refused", code="no_lane", opening=refused)], out)
    assert (made.requests, made.statuses, tables(made)) == (2, {"refused": 2}, {})
    assert made.ends == {"refused (no_lane)": 1, "refused (lanes_failed)": 1}


def test_an_ending_says_each_word_once() -> None:
    """The code stands beside the status where it says more, and an open request has neither."""
    ends = [Outcome(id="a", status="cancelled"), Outcome(id="a", status="interrupted", code="interrupted"), None]
    assert [ending(outcome) for outcome in ends] == ["cancelled", "interrupted", "open"]


@given(st.lists(st.sampled_from([plain, escalated, fallen_back]), max_size=20))
def test_counts_add_up(kinds: list[Any]) -> None:
    """However many requests there are, every one is in the frame and every event in exactly one row."""
    made = review(*(kind(str(i)) for i, kind in enumerate(kinds)))
    assert made.requests == sum(made.statuses.values()) == len(kinds)
    assert sum(row.times for row in made.escalated) == kinds.count(escalated)
    assert sum(row.times for row in made.rejected) == kinds.count(escalated)
    assert sum(row.times for row in made.fallbacks) == kinds.count(fallen_back)
    assert sum(one.requests for one in made.slices) == len(kinds)


# what people, detectors, guards and shadows do


def held(id: str, cause: Any = "approval", rule: str = "reviews[0]") -> list[Entry]:
    """A request whose answer waits for a person."""
    item = Review(id=id, rule=rule, cause=cause, until=NOW)
    return [*story(id, [intent(id, 1, "home", "first")], [attempt("home", verdict=PASS)], "held", lane="home"), item]


def test_what_people_make_of_what_is_held_is_told_with_how_long_it_took() -> None:
    """An approval is one, a rejection or an edit rejects the answer too, a first pair of eyes ends nothing."""

    def done(id: str, action: Any, *, final: bool = True) -> Resolution:
        return Resolution(id=id, action=action, by="Ann", final=final)

    made = review(
        [*held("a"), done("a", "approve", final=False), done("a", "approve")], [*held("b"), done("b", "reject")],
        [*held("c"), done("c", "edit", final=False), done("c", "edit")], [*held("d"), done("d", "expire")], held("e"),
    )  # fmt: skip
    assert brief(made.held) == [("(none)", "reviews[0]", "", "approval", 5, "e")]
    assert [(t.action, t.times, t.median, t.longest, t.cause) for t in made.took] == [
        ("approve", 1, 2.0, 2.0, "approval"), ("edit", 1, 2.0, 2.0, "approval"), ("expire", 1, 1.0, 1.0, "approval"),
        ("reject", 1, 1.0, 1.0, "approval"),
    ]  # fmt: skip
    assert brief(made.rejected) == [
        ("(none)", "review", "home", "by a reviewer: edit", 1, "c"),
        ("(none)", "review", "home", "by a reviewer: reject", 1, "b"),
    ]
    assert made.waiting == 1


def test_a_label_raised_by_detection_is_told_by_what_was_found() -> None:
    """Only where what was found made the class what it is, and not where somebody had said as much."""

    def of(*found: tuple[str, str]) -> Opening:
        told = tuple(Evidence("sensitivity", "body", kind, value) for kind, value in found)
        return opening(sensitivity="restricted", evidence=told)

    openings = [of(("label", "internal"), ("se.personnummer", "restricted")), of(("label", "restricted"), ("iban", "restricted")),
                of(("default", "internal"), ("iban", "confidential"), ("card", "restricted"), ("card", "restricted")),
                of(("label", "restricted"))]  # fmt: skip
    made = review(*([intent(id, 1, "home", "first", opened=o)] for id, o in zip("abcd", openings, strict=True)))
    assert brief(made.raised) == [
        ("(none)", "detect", "", "card -> restricted", 1, "c"),
        ("(none)", "detect", "", "se.personnummer -> restricted", 1, "a"),
    ]


def test_the_guard_and_other_models_have_tables_of_their_own() -> None:
    """An attempt stopped at the guard, an answer by another model, and a lane that was shut for it."""
    other = attempt("home", model="cheap", other_than="dear", verdict=PASS)
    made = review(
        [intent("a", 1, "home", "first", opened=opening("chat")), Outcome(id="a", status="failed", code="guard_stopped")],
        [*story("b", [intent("b", 1, "home", "first")], [other], lane="home"),
         Shut(id="b", lane="home", endpoint="e", measured="dear", answered="cheap")],
    )  # fmt: skip
    assert tables(made) == {
        "guarded": [("chat", "routes[0]", "home", "internal", 1, "a")],
        "other_models": [("(none)", "lanes.home", "home", "as cheap, not dear", 1, "b")],
        "shut": [("(none)", "lanes.home", "home", "cheap, not dear", 1, "b")],
    }


def test_unseen_answers_cost_money_and_are_no_hops() -> None:
    """What a shadow's comparison cost is in what was spent; its call is no attempt of the request."""
    trial = Trial(rule="shadow[0]", lane="rack", incumbent="home", worst=1.0)
    unseen = Intent(id="a", attempt=2, lane="rack", why="shadow", trial=trial)
    compared = Compared(id="a", lane="rack", incumbent="home", rule="shadow[0]", result="worse", cost=0.25)
    told = story("a", [intent("a", 1, "home", "first")], [attempt("home", verdict=PASS)], lane="home", cost=0.5)
    made = review([*told, unseen, compared])
    assert tables(made) == {}
    assert [(sheet.spent, sheet.shadows) for sheet in made.money] == [(0.75, 0.25)]


# money


def test_what_always_premium_would_have_cost() -> None:
    """The recorded tokens at the price of the strongest lane that the class may use, under the policy of the request."""
    signals = Signals(sensitivity="internal")
    decided = decide(POLICY, Ask(), signals, Facts(today=TODAY))

    def told(id: str, lane: str, cost: float, **tokens: Any) -> list[Entry]:
        done = attempt(lane, verdict=PASS, **tokens)
        opened = opening(decision=decided, policy=POLICY.hash)
        return story(id, [intent(id, 1, lane, "first")], [done], lane=lane, opened=opened, cost=cost)

    frame = Frame.of(at := _micros(TODAY) - 6 * DAY, at + 7 * DAY, compared=True)
    rows = chained((e for x in (told("a", "home", 0, tokens_in=1_000_000, tokens_out=100_000),
                                told("b", "premium", 5.0, tokens_in=1_000_000, tokens_out=100_000),
                                told("c", "home", 0.0)) for e in x), at)  # fmt: skip
    (sheet,) = reviewed(found(rows, frame), frame, "7d", lambda _: POLICY).money
    price = POLICY.lanes["premium"].price
    assert price is not None
    twice = 2 * price.cost(1_000_000, 100_000)
    assert dataclasses.astuple(price)[0] > 0
    assert msgspec.structs.astuple(sheet) == ("EUR", 5.0, 0.0, 0.0, 2, 1, 5.0, twice, twice - 5.0)
    (lost,) = reviewed(found(rows, frame), frame, "7d", lambda _: None).money
    assert (lost.currency, lost.spent, lost.compared, lost.left_out) == ("?", 5.0, 0, 3)


def _micros(day: Any) -> int:
    return int((day - type(day)(1970, 1, 1)).days) * DAY


# time


def test_each_row_stands_against_the_period_of_equal_length_before() -> None:
    """Counts before, the change, and nothing of either where all of time is asked for."""
    before = chained([*fallen_back("a"), *fallen_back("b")], NOW - 8 * DAY)
    rows = [*before, *_behind(before, chained([*fallen_back("c"), *fallen_back("d", "rate-limit")]))]
    made = reviewed(found(rows), WEEK, "7d", lambda _: None)
    assert [(r.cause, r.times, r.before, r.change) for r in made.fallbacks] == [
        ("late", 1, 2, -1),
        ("rate-limit", 1, 0, 1),
    ]
    assert (made.requests, made.before, made.ends_before) == (2, 2, {"answered": 2})
    assert [one.requests for one in made.slices] == [0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 2]
    ever = Frame.of(NOW - 9 * DAY, NOW, compared=False)
    told = reviewed(found(rows, ever), ever, "all", lambda _: None)
    assert (told.requests, told.before, told.fallbacks[0].before, told.fallbacks[0].change) == (4, None, None, None)


def _behind(rows: list[Row], more: list[Row]) -> list[Row]:
    """The same records, linked behind others."""
    linked, head = list[Row](), rows[-1][5]
    for seq, (_, at, decision, kind, body, _) in enumerate(more, len(rows) + 1):
        head = link(head, seq, at, decision.encode(), kind.encode(), body)
        linked.append((seq, at, decision, kind, body, head))
    return linked


def test_what_is_said_later_belongs_to_the_request() -> None:
    """An answer of the week before that is rejected in this one is counted there."""
    first = chained(plain("a"), NOW - 8 * DAY)
    rows = [*first, *_behind(first, chained([said("a", "ann", False)]))]
    made = reviewed(found(rows), WEEK, "7d", lambda _: None)
    assert (made.requests, made.before, made.rejected) == (0, 1, [])
    assert [one.rejected for one in made.slices if one.rejected] == [1]


def test_a_clock_that_goes_backwards_is_counted() -> None:
    """The order is that of the log; what is dated outside the frame is not in it, and what is dated ahead is."""
    first = chained([*plain("a"), *plain("b")])
    second = _behind(first, chained(plain("c"), NOW - 100 * DAY))
    rows = [*first, *second, *_behind([*first, *second], chained(plain("d"), NOW + 300 * DAY))]
    made = reviewed(found(rows), WEEK, "7d", lambda _: None)
    assert (made.requests, made.log.back, made.log.problem) == (3, 1, "")
    assert reviewed(found(rows, cuts=[4, 6]), WEEK, "7d", lambda _: None) == made


@pytest.mark.parametrize(("days", "slices"), [(7, 7), (14, 14), (1, 12), (90, 12)])
def test_a_frame_is_cut_into_as_many_parts_before_and_after(days: int, slices: int) -> None:
    """Every moment of both periods is in one slice, and no other moment before them is."""
    frame = Frame.of(NOW - days * DAY, NOW, compared=True)
    assert frame.slices == slices
    assert [frame.slice(at) for at in (frame.start, frame.start - 1, NOW - 1, NOW + 5)] == [
        0,
        -1,
        slices - 1,
        slices - 1,
    ]
    assert frame.slice(frame.start - days * DAY - 1) is None
    assert frame.began(0) == frame.start


# damage


def test_a_changed_a_missing_and_an_unreadable_record_are_said() -> None:
    """What is there is counted all the same, and the first break is named."""
    rows = chained([*plain("a"), *plain("b"), *plain("c")])
    changed = list(rows)
    changed[2] = (*rows[2][:4], rows[2][4].replace(b"internal", b"external"), rows[2][5])
    made = reviewed(found(changed), WEEK, "7d", lambda _: None)
    assert (made.requests, made.log.broken) == (3, 1)
    assert made.log.problem == "record 3 (decision b) was changed: its hash does not follow"
    missing = reviewed(found([*rows[:2], *rows[3:]]), WEEK, "7d", lambda _: None)
    assert missing.log.problem == "record 3 is missing, before record 4 (decision b)"
    broken = list(rows)
    broken[3] = (*rows[3][:4], b"{", rows[3][5])
    made = reviewed(found(broken), WEEK, "7d", lambda _: None)
    assert (made.log.unread, made.log.broken, made.statuses) == (1, 1, {"answered": 2, "open": 1})


@pytest.mark.parametrize("cuts", [[], [2], [5]])
def test_an_emptied_record_is_in_order_only_where_the_log_says_so(cuts: list[int]) -> None:
    """Retention empties bodies and says so; a body emptied by somebody else is a break."""
    gone = Erased(id="e", by="x", why="past its time", records=(Stretch(1, 2, "", ""),))
    rows = chained([*plain("a"), *plain("b"), gone])
    emptied = [(*row[:4], b"" if row[0] <= 2 else row[4], row[5]) for row in rows]
    made = reviewed(found(emptied, cuts=cuts), WEEK, "7d", lambda _: None)
    assert (made.log.problem, made.requests) == ("", 1)
    emptied[2] = (*rows[2][:4], b"", rows[2][5])
    made = reviewed(found(emptied, cuts=cuts), WEEK, "7d", lambda _: None)
    assert made.log.problem == "records 3 to 3 were emptied, and nothing on record says so"


def test_records_of_an_older_and_of_a_newer_grammar_are_counted() -> None:
    """Fields that are not there have defaults; what is not known is passed over."""
    rows = chained(plain("a"))
    body = msgspec.json.decode(rows[0][4])
    del body["opening"]["signals"]["evidence"], body["opening"]["decision"]["rejected"], body["opening"]["instructed"]
    body["opening"]["from the future"] = {"x": 1}
    old = (*rows[0][:4], msgspec.json.encode(body), rows[0][5])
    made = reviewed(found([old, rows[1]]), WEEK, "7d", lambda _: None)
    assert (made.requests, made.statuses, made.log.unread) == (1, {"answered": 1}, 0)


def test_a_hold_before_any_lane_names_its_rule() -> None:
    """A decision that is no route has a rule too, and its request is in the frame."""
    hold = Hold(release="after-approval", reasons=(Reason("approval-required", "reviews[0]", "", "x"),), rejected=())
    made = review([Outcome(id="a", status="held", code="approval_required", opening=opening(decision=hold))])
    assert made.ends == {"held (approval_required)": 1}


# what is told


HOSTILE = "<script>alert(1)</script>[x](http://evil)\x1b[31m\u202e"


def test_no_name_is_markup_and_none_moves_the_cursor() -> None:
    """Whatever a workload, a lane, a rule or a patch is called, pages and Markdown show it as text."""
    row = value.Row(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 2, 1, 1, HOSTILE, (HOSTILE, HOSTILE))
    took = value.Took(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 1, 0, 5.0, 9000.0, HOSTILE)
    tables = {name: [row] for name in TABLES}
    made = msgspec.structs.replace(
        review(plain("a")), **tables, took=[took], policy=HOSTILE, ends={HOSTILE: 1},
        log=value.Log(problem=HOSTILE, broken=1),
        money=[value.Money(HOSTILE, 1.0, 0.0, 1.0, 1, 1, 1.0, 2.0, 1.0)], lanes=[value.LaneUse(HOSTILE, 1, 0, 1.0)],
        stale=[value.Stale(HOSTILE, HOSTILE, HOSTILE, HOSTILE)],
        advice=[value.Advice(HOSTILE, HOSTILE, HOSTILE, HOSTILE, diff=f"+{HOSTILE}\n```\n"),
                value.Advice(HOSTILE, HOSTILE, HOSTILE, HOSTILE, refused=HOSTILE)],
    )  # fmt: skip
    shown = page(made)
    assert "<script" not in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert shown.count("&lt;script&gt;") > 40
    assert shown.index("Before you read on:") < shown.index("<h1>")
    told = markdown(made)
    assert not [line for line in told.splitlines() if "<script" in line.replace("\\<", "") and not line.startswith("+")]
    assert "````diff" in told


@pytest.mark.parametrize(("length", "told"), [(5, "5 s"), (300, "5 min"), (9000, "2.5 h"), (259_200, "3.0 d")])
def test_a_length_of_time_is_told_in_the_unit_that_suits_it(length: float, told: str) -> None:
    """Seconds, minutes, hours and days."""
    assert seconds(length) == told
