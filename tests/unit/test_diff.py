"""diff: the formulas, both oracles and the interpreter agree on what two policies decide differently."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.generated import TODAY, policies
from tests.policies import FULL, changed

from laneway.diff.changed import changed as said_differently
from laneway.diff.compare import Access, Comparison, Report, compare
from laneway.diff.telling import tell_change
from laneway.policy import Grant, Policy, Ranking, Unlabelled, Waiver, Workload
from laneway.policy_file import parse
from laneway.proof.finding import values_of
from laneway.proof.oracle import Enumeration, NotProved, Solver
from laneway.proof.space import Cell, In, both, either

PARTS = ("routes", "fallbacks", "gate", "grants", "limits", "lanes", "strength", "reviews", "unlabelled", "workloads",
         "deadlines")  # fmt: skip


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Policy, Policy]:
    """Two policies that differ in one or two parts, or in all."""
    old, other = draw(policies()), draw(policies())
    other = replace(other, unlabelled=draw(labels), workloads=draw(works))
    if draw(st.booleans()):
        old, other = opened(old), opened(other)
    changed = draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=2, unique=True) | st.just(list(PARTS)))
    return old, replace(old, **{part: getattr(other, part) for part in changed})


def opened(policy: Policy) -> Policy:
    """The policy with a row of the wall for every lane, a waiver for each, and a last route and fallback."""
    grant = Grant(id="wall", classes=frozenset(policy.classes), zones=("ours", "paid"))
    waiver = Waiver(id="waiver", lanes=frozenset(policy.lanes), until=TODAY, by="DPO")
    last = Ranking(id="last", words=("cheapest",))
    return replace(
        policy, grants=(*policy.grants, grant), gate=replace(policy.gate, waivers=(waiver,)),
        routes=(*policy.routes, last), fallbacks=(*policy.fallbacks, last),
    )  # fmt: skip


labels = st.builds(
    Unlabelled, sensitivity=st.sampled_from(["public", "confidential"]), latency=st.sampled_from(["interactive", "batch"]),
    difficulty=st.sampled_from(["auto", "hard"]), stakes=st.sampled_from(["normal", "high"]),
    ceiling=st.sampled_from([None, 1.0]),
)  # fmt: skip
works = st.sampled_from(["review", "chore"]).flatmap(
    lambda name: st.builds(
        Workload, name=st.just(name), sensitivity=st.sampled_from([None, "confidential"]),
        stakes=st.sampled_from([None, "high"]), latency=st.sampled_from([None, "batch"]),
        ceiling=st.sampled_from([None, 0.001]),
    ).map(lambda made: {made.name: made})
)  # fmt: skip


def differs(found: Comparison, cell: Cell) -> bool:
    """Whether the interpreter decides a request of the cell differently in any outage at all."""
    values: dict[str, Any] = values_of(found.space, cell)
    old, new = found.old.policy, found.new.policy
    downs = (down for n in range(len(found.lanes) + 1) for down in combinations(found.lanes, n))
    return any(found._side(old, values, down).way != found._side(new, values, down).way for down in downs)


def here(cell: Cell) -> Any:
    """The one request."""
    return both(*(In(i, 1 << k) for i, k in enumerate(cell)))


@given(pairs(), st.integers(0, 1 << 30))
@settings(max_examples=400, deadline=None)
def test_a_request_is_in_a_class_of_change_exactly_where_the_interpreter_decides_differently(
    pair: tuple[Policy, Policy], seed: int
) -> None:
    """Enumerated: each class holds requests that differ in some outage, and all such requests are in one."""
    found = Comparison(*pair, TODAY)
    bits = Enumeration(found.space)
    changes = list(found.changes())
    every = either(change.formula for change in changes)
    assert bits.count(every) == sum(bits.count(change.formula) for change in changes)
    chance = random.Random(seed)
    cells = [tuple(chance.randrange(len(d.values)) for d in found.space.dimensions) for _ in range(6)]
    cells += [cell for change in changes[:6] if (cell := bits.find(change.formula)) is not None]
    for cell in cells:
        assert differs(found, cell) == (bits.find(both(every, here(cell))) is not None), values_of(found.space, cell)


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_both_oracles_find_the_same_classes_of_change(pair: tuple[Policy, Policy]) -> None:
    """Asked by z3, the classes hold the same requests between them as those that enumeration finds."""
    found, solved = Comparison(*pair, TODAY), Comparison(*pair, TODAY)
    solved.oracle = Solver(solved.space, 60)
    bits, others = Enumeration(found.space), Enumeration(solved.space)
    every = bits.requests(either(change.formula for change in found.changes()))
    assert every == others.requests(either(change.formula for change in solved.changes()))


# One change at a time


def differ(*edits: tuple[str, str], source: str = FULL, **options: Any) -> Report:
    """What `source` and the same with the edits decide differently."""
    text = source
    for old, new in edits:
        text = changed(old, new, text)
    return compare(parse(source, "old.yaml"), parse(text, "new.yaml"), TODAY, **options)


def test_names_and_sentences_are_no_change() -> None:
    """A rule with another id, sentence or line decides as before, and nothing is said differently."""
    report = differ(
        ("id: hard-first", "id: first"),
        ("All else begins with the cheapest.", "The rest is cheap."),
        ("# Every", "#\n# Every"),
    )
    assert (report.changes, report.differences, report.more, report.unproved) == ((), (), False, "")
    assert report.requests > 1000


def test_words_that_mean_the_same_are_no_change() -> None:
    """A zone in place of its lanes, under another name, with a condition turned inside out, decides as before."""
    report = differ(
        ("try: [shared, ours]", "try: [shared, us]"), ("zones:\n  ours:", "zones:\n  us: {lanes: [home, rack]}\n  ours:"),
        ("{any: [{difficulty: hard}, {stakes: high}]}", "{not: {difficulty: [routine, unknown], stakes: normal}}"),
    )  # fmt: skip
    assert report.changes == ()


def test_a_wider_wall_gains_a_lane_and_is_told_by_few_facts() -> None:
    """Opening a zone to a class names the lane that is gained, by the facts that must hold and no others."""
    report = differ(("confidential, zones: [ours, eea]", "confidential, zones: [ours, eea, world]"))
    assert {change.gained for change in report.changes} == {("premium",)}
    assert {change.lost for change in report.changes} == {()}
    widest = report.changes[0]
    assert widest.flags == ("--sensitivity", "confidential", "--difficulty", "hard", "--fact", "matter=patent")
    assert (widest.old.lanes[0], widest.new.lanes[0]) == ("shared", "premium")
    counts = [change.requests or 0 for change in report.changes]
    assert counts == sorted(counts, reverse=True)


def test_a_lane_that_moves_out_of_a_zone_is_lost() -> None:
    """A lane whose country changes is lost to the classes that may not follow it, and the fact is listed."""
    report = differ(("runs: DE", "runs: US"))
    assert {change.lost for change in report.changes} == {("shared",)}
    assert [(d.about, d.old, d.new) for d in report.differences] == [("lanes.shared.runs", "DE", "US")]


def test_a_fallback_alone_is_seen_though_the_first_lane_stays() -> None:
    """A lane that is reached only when the first one fails is gained."""
    report = differ(("then: [ours, refuse]", "then: [ours, shared, refuse]"))
    assert report.changes
    assert all(
        change.old.lanes[0] == change.new.lanes[0] and "shared" in change.new.lanes[1:] for change in report.changes
    )
    assert {change.old.lanes[0] for change in report.changes} == {"home"}


def test_what_shows_only_in_an_outage_is_shown_in_one() -> None:
    """Where only what is left of the lanes differs, the smallest outage that shows it is named."""
    report = differ(("try: cheapest", "try: home"), ("then: [next, refuse]", "then: [shared, refuse]"))
    shown = [change for change in report.changes if change.down]
    assert shown
    assert all(change.old.way != change.new.way for change in shown)


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (("{when: {team: press}, release: now}", "{when: {team: press}}"), "review"),
        (("then: [next, refuse]", "then: [next, hold]"), "decision"),
        (("weak: [strongest, hold]", "weak: [strongest, marked]"), "decision"),
        (("weak: [strongest, hold]", "weak: [rack, hold]"), "way"),
    ],
)
def test_every_part_of_a_plan_counts(edit: tuple[str, str], field: str) -> None:
    """Approval, what follows the last failure or a weak answer, and who redoes one make a difference each."""
    report = differ(edit)
    assert report.changes
    assert any(getattr(change.old, field) != getattr(change.new, field) for change in report.changes)


def test_a_price_that_changes_the_order_for_long_texts_alone_is_found() -> None:
    """Where one lane becomes cheaper than another at some length, the request is told by its tokens."""
    report = differ(("price: {input: 1.80, output: 5.40, cached_input: 0.18}", "price: {input: 20, output: 1}"))
    assert any("--tokens" in change.flags for change in report.changes)


def test_a_class_that_one_policy_lacks_is_refused_there() -> None:
    """Requests of a class that only the new policy has are new, told by the class."""
    report = differ(
        ("sensitivity: [public,", "sensitivity: [open, public,"),
        ("[internal, public], zones", "[internal, public, open], zones"),
    )
    assert {"open"} == {
        flag for change in report.changes for flag in change.flags if flag in ("open", "public", "internal")
    }
    assert {change.old.lanes for change in report.changes} == {()}


def test_a_floor_is_read_by_each_policy_for_itself() -> None:
    """The same label under a lower floor or another default is another class, and so another way."""
    floor = differ(
        (
            "{sensitivity: confidential, stakes: high, latency: background",
            "{sensitivity: internal, stakes: high, latency: background",
        )
    )
    assert any(change.flags[:2] == ("--workload", "contract-review") for change in floor.changes)
    assert any(change.gained == ("premium",) for change in floor.changes)
    silent = differ(("unlabelled: {sensitivity: internal", "unlabelled: {sensitivity: confidential"))
    assert silent.changes
    assert all("--sensitivity" not in change.flags for change in silent.changes)
    assert ("unlabelled.sensitivity", "internal", "confidential") in [
        (d.about, d.old, d.new) for d in silent.differences
    ]


def test_another_hedge_is_another_plan() -> None:
    """A second lane that is asked while all is well is told, for the requests that have one and for no others."""
    without = changed("hedge: 1s, ", "")
    (change,) = compare(parse(without), parse(FULL), TODAY).changes
    assert change.flags == ()
    assert (change.old.lanes, change.gained, change.lost) == (change.new.lanes, (), ())
    _, told = tell_change(change, 1)
    assert any(label == "after" and "the next lane too after 1 s without a word" in text for label, text in told)
    assert any("deadlines.interactive: if home has not begun to answer" in text for _, text in told)
    old, new = (parse(re.sub(r"then: \[.*\]", "then: refuse", text)) for text in (without, FULL))
    assert compare(old, new, TODAY).changes == ()


# New access


def reached(report: Report) -> list[tuple[str, str]]:
    """The lanes and classes of new access."""
    return [(access.lane, access.data_class) for access in report.access]


def test_new_access_is_found_for_the_class_that_is_denied_and_for_no_other() -> None:
    """A wider wall is new access to the class it was widened for."""
    edit = ("confidential, zones: [ours, eea]", "confidential, zones: [ours, eea, world]")
    report = differ(edit, denied=("confidential", "restricted"))
    assert reached(report) == [("premium", "confidential")]
    (access,) = report.access
    assert "premium" not in called(access, old=True)
    assert "premium" in called(access)
    assert reached(differ(edit, denied=("restricted", "internal"))) == []


def called(access: Access, *, old: bool = False) -> set[str]:
    """The lanes that the shown request may call."""
    side = access.old if old else access.new
    return {*side.lanes, *(name for name in side.way.redo if name)}


def test_a_lane_that_is_another_place_is_new_access_under_its_old_name() -> None:
    """A lane that keeps its name but not its place is new to every class that reaches it."""
    report = differ(
        ("url: https://inference.example.eu/v1", "url: https://inference.example.com/v1"),
        denied=("confidential", "restricted"),
    )
    assert reached(report) == [("shared", "confidential")]
    assert report.access[0].moved == ("url",)
    assert report.changes == ()


def test_new_access_by_a_fallback_is_shown_in_the_outage_that_leads_there() -> None:
    """What only a failure reaches is new access too."""
    source = changed(
        "try: [shared, ours]",
        "try: ours",
        changed("try: strongest", "try: ours", changed("try: cheapest", "try: ours")),
    )
    source = changed("weak: [strongest, hold]", "weak: [ours, hold]", source)
    source = changed("judge: [safest, strongest]", "judge: ours", source)
    report = differ(("then: [ours, refuse]", "then: [ours, shared, refuse]"), source=source, denied=("confidential",))
    assert reached(report) == [("shared", "confidential")]


def test_a_lower_floor_is_new_access_to_the_class_that_it_was() -> None:
    """A workload that is no longer of the class, and so may go further, is new access to that class."""
    report = differ(
        (
            "{sensitivity: confidential, stakes: high, latency: background",
            "{sensitivity: internal, stakes: high, latency: background",
        ),
        denied=("confidential",),
    )
    assert reached(report) == [("premium", "confidential")]


def test_a_detector_that_raises_less_is_new_access_to_the_class_that_it_raised_to() -> None:
    """An identifier that made a text restricted and no longer does is named, as no fact of a request shows it."""
    edit = ('"*": restricted}', '"*": restricted, iban: internal}')
    assert [(d.about, d.old, d.new) for d in differ(edit, denied=("restricted",)).lowered] == [
        ("detect.iban", "restricted", "internal")
    ]
    assert differ(edit, denied=("confidential",)).lowered == ()


# What else is said


def test_what_is_not_routing_is_listed_by_its_place() -> None:
    """Lanes, floors, dates, promises and limits that changed are listed with both values."""
    edits = [
        ("until: 2026-12-20", "until: 2027-01-20"), ("review_every: 60d", "review_every: 30d"), ("background: {total: 10m}", "background: {total: 5m}"),
        ("tool-call, refusal, contract]", "tool-call, contract]"), ("never: {cost: {over: 2}}", "never: {cost: {over: 3}}"), ("rpm: 600", "rpm: 60"),
        ("unreadable: restricted", "unreadable: confidential"), ("pages: {from: 0, to: 5000}", "pages: {from: 0, to: 500}"),
    ]  # fmt: skip
    text = FULL
    for old, new in edits:
        text = changed(old, new, text)
    told = {d.about: (d.old, d.new) for d in said_differently(parse(FULL), parse(text))}
    assert told["lanes.shared.limits.rpm"] == ("600", "60")
    assert told["deadlines.background.total"] == ("600", "300")
    assert told["approved.review_every"] == ("60", "30")
    assert told["detect.unreadable"] == ("restricted", "confidential")
    assert told["facts.pages.high"] == ("5000", "500")
    assert told["gate.checks"][1] == "empty, cut-off, invalid-json, tool-call, contract, judge"
    assert (
        len([about for about in told if about.startswith("gate.waiver of bench, ") or "until 2027-01-20" in about]) == 1
    )
    assert len([about for about in told if about.startswith("must never")]) == 2


def test_a_lane_that_is_added_or_removed_is_one_line() -> None:
    """A whole lane is told at once and not fact by fact."""
    text = (
        re.sub(r"  bench:\n(    .*\n)+", "", FULL)
        .replace("bench, ", "")
        .replace("    - {lanes: [bench], until: 2026-12-31, by: The head of platform, workloads: [chat]}\n", "")
    )
    (lane,) = [d for d in said_differently(parse(FULL), parse(text)) if d.about.startswith("lanes.")]
    assert (lane.about, lane.new) == ("lanes.bench", "removed")
    assert "kind premium" in lane.old


def test_a_fact_of_two_kinds_is_not_compared() -> None:
    """A fact that is a word in one policy and a number in the other is an error that names it, never an answer."""
    report = differ(
        ("pages: {from: 0, to: 5000}", "pages: {values: [few, many]}"), ("{pages: {over: 100}}", "{pages: many}")
    )
    assert "`pages`" in report.unproved


def test_a_comparison_that_runs_out_of_time_says_so() -> None:
    """What was not proved in time is not equal."""
    old = parse(FULL)
    found = Comparison(old, parse(FULL), TODAY)
    found.oracle = Solver(found.space, 0)
    with pytest.raises(NotProved, match="took longer"):
        list(found.changes())
