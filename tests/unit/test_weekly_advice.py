"""What the weekly review advises: by which counts, as which patch, and when there is none."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.harness import policy_text

from laneway.facts import Facts
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.repair.edits import Source, applied
from laneway.signals import Ask, Signals
from laneway.weekly.advice import ENOUGH, Proposal, advised
from laneway.weekly.frame import HOUR, Frame
from laneway.weekly.patch import Asked, tried
from laneway.weekly.review import review
from laneway.weekly.tally import Ending, Event, Kind, Seen, Sum, Tally
from laneway.weekly.value import Advice, Log

TODAY = datetime.date.today()
WEEK = Frame.of(0, 168 * HOUR, compared=True)
RULES = ("fallbacks[0]", "gate", "gate.waiver", "reviews[0]", "routes[0]", "routes[1]", "wall[0]", "wall[1]")
ASKED = [Asked(Ask(), Signals(sensitivity=name, difficulty=hard), Facts(today=TODAY))
         for name in ("public", "restricted") for hard in ("hard", "routine")]  # fmt: skip


def bench_policy(**changes: str) -> Policy:
    """The bench's policy."""
    text = policy_text("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", **changes)
    return parse(text.replace("routes:", "routes:  # first match counts"), "laneway.yaml")


def kind(policy: Policy, workload: str = "(none)", rule: str = "routes[1]", rules: tuple[str, ...] = RULES) -> Kind:
    """Requests decided under a policy."""
    return Kind(policy.hash, workload, "internal", rule, "fallbacks[0]", rules)


def found(policy: Policy, tally: Tally) -> list[Proposal]:
    """What is advised."""
    return advised(tally, review({0: tally}, WEEK, Log(), "7d", lambda _: policy), policy)


def one(policy: Policy, tally: Tally, code: str) -> Proposal:
    """The only advice of a code."""
    (proposal,) = [p for p in found(policy, tally) if p.advice.code == code]
    return proposal


def made(policy: Policy, proposal: Proposal, cases: Path = Path("nowhere")) -> Advice:
    """The advice as it is shown."""
    return tried(proposal, policy, cases, ASKED, TODAY)


def test_a_route_that_decides_nothing_is_offered_to_go() -> None:
    """The patch takes its line alone and keeps the comments; it is proved, and says how many requests it changes."""
    policy = bench_policy()
    rules = tuple(rule for rule in RULES if rule != "routes[0]")
    advice = made(policy, one(policy, Tally(kinds={kind(policy, rules=rules): ENOUGH}), "rule-unused"))
    assert (advice.about, advice.refused, advice.tried) == ("routes[0]", "", "proved")
    assert (advice.replayed, advice.changed) == (4, 1)  # one hard request that may use more than home
    changed = [line for line in advice.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("---", "+++")]
    assert changed == ["-  - {says: Hard work starts at the strongest lane., when: {difficulty: hard}, try: strongest}"]
    assert " routes:  # first match counts" in advice.diff.splitlines()


def test_too_few_decisions_name_no_rule() -> None:
    """Before enough was decided under this very policy, nothing is called unused; under another, nothing counts."""
    policy = bench_policy()
    few, other = Tally(kinds={kind(policy, rules=()): ENOUGH - 1}), Kind("x", "(none)", "internal", "", "", ())
    for tally in (few, Tally(kinds={other: 10 * ENOUGH})):
        assert [p.advice.code for p in found(policy, tally)] == ["another-lane-not-yet"]


def test_what_forbids_is_named_and_never_patched() -> None:
    """A row of the wall, a fallback and a review that decided nothing are for people to judge."""
    policy = bench_policy()
    tally = Tally(kinds={kind(policy, rules=("routes[0]", "routes[1]", "gate.waiver")): ENOUGH})
    unused = [p for p in found(policy, tally) if p.advice.code == "rule-unused"]
    assert [p.advice.about for p in unused] == ["wall[0]", "wall[1]", "fallbacks[0]", "reviews[0]"]
    assert [(made(policy, p).diff, bool(made(policy, p).refused)) for p in unused] == [("", True)] * 4


def test_a_patch_that_breaks_the_policy_is_said_and_not_shown() -> None:
    """Without the route that catches all, some request is decided by none; without its only waiver no lane may serve."""
    policy = bench_policy()
    tally = Tally(kinds={kind(policy, rules=tuple(r for r in RULES if r != "routes[1]")): ENOUGH})
    advice = made(policy, one(policy, tally, "rule-unused"))
    assert (advice.about, advice.diff) == ("routes[1]", "")
    assert advice.refused.startswith("it would break the policy: ")


def test_a_patch_under_which_a_case_fails_is_said_and_not_shown(tmp_path: Path) -> None:
    """The policy's own cases are rehearsed under the patch; one that failed before does not count."""
    policy, cases = bench_policy(), tmp_path / "cases.yaml"
    case = "cases:\n  - {{id: {id}, says: Hard work., given: {{difficulty: hard}}, expect: {{lanes: [{lanes}]}}}}\n"
    rules = tuple(rule for rule in RULES if rule != "routes[0]")
    proposal = one(policy, Tally(kinds={kind(policy, rules=rules): ENOUGH}), "rule-unused")
    cases.write_text(case.format(id="hard", lanes="premium, home"))
    refused = made(policy, proposal, cases).refused
    cases.write_text(case.format(id="hard", lanes="home, premium"))
    assert (refused, made(policy, proposal, cases).tried) == ("the case hard would fail", "proved, its cases pass")
    cases.write_text("nonsense: 1\n")
    assert made(policy, proposal, cases).refused.startswith("its cases cannot be read: ")


@pytest.mark.parametrize(("good", "weak", "patched"), [(9, 11, True), (11, 9, False), (5, 14, False)])
def test_escalations_that_bring_nothing(good: int, weak: int, *, patched: bool) -> None:
    """From twenty on, where half of them or more ended weak again; the patch ends weak answers at once."""
    policy = bench_policy()
    events = {Event("yield", "(none)", "routes[1]", "home -> premium", end): Seen(times)
              for end, times in (("good", good), ("weak", weak))}  # fmt: skip
    said = [p for p in found(policy, Tally(events=events)) if p.advice.code == "escalation-fruitless"]
    assert len(said) == patched
    for proposal in said:
        advice = made(policy, proposal)
        assert "+  weak: marked" in advice.diff
        assert (
            f"of 20 escalations {good} brought a good answer, of which people rejected 0, {weak} another" in advice.told
        )


def test_an_escalation_whose_answer_people_reject_brought_nothing() -> None:
    """Good answers that users rejected are no good ones, and each escalation counts once."""
    policy = bench_policy()
    events = {Event("yield", "(none)", "routes[1]", "home -> premium", end): Seen(times)
              for end, times in (("good", 20), ("regretted", 10))}  # fmt: skip
    assert (
        "of 20 escalations 20 brought a good answer, of which people rejected 10"
        in one(policy, Tally(events=events), "escalation-fruitless").advice.told
    )


def test_work_that_mostly_escalates_may_start_where_it_ends() -> None:
    """The patch puts a route of the workload before the one that ranked it, and says how many requests it moves."""
    policy = bench_policy()
    good = Event("yield", "chat", "routes[1]", "home -> premium", "good")
    tally = Tally(kinds={kind(policy, "chat"): 80}, events={good: Seen(50)})
    assert made(policy, one(policy, tally, "start-stronger")).refused.startswith("it has no workload of its own")
    policy = bench_policy(more_work="\n  chat: {sensitivity: internal}")
    tally = Tally(kinds={kind(policy, "chat"): 80}, events={good: Seen(50)})
    asked = [
        Asked(Ask(), Signals(sensitivity="internal", workload=name), Facts(today=TODAY)) for name in ("chat", None)
    ]
    advice = tried(one(policy, tally, "start-stronger"), policy, Path("nowhere"), asked, TODAY)
    assert (advice.refused, advice.replayed, advice.changed) == ("", 2, 1)
    assert "when: {workload: chat}, try: strongest}" in advice.diff
    enough = Tally(kinds={kind(policy, "chat"): 120}, events={good: Seen(50)})
    assert "start-stronger" not in [p.advice.code for p in found(policy, enough)]


@pytest.mark.parametrize(
    ("taken", "spent", "code"),
    [(300, 10.0, "another-lane"), (299, 10.0, "another-lane-not-yet"), (300, 1000.0, "another-lane-not-yet")],
)
def test_another_lane_is_justified_by_a_rule_that_is_said(taken: int, spent: float, code: str) -> None:
    """Enough requests at the strongest lane, and enough of the money; the rule stands beside the numbers."""
    policy = bench_policy()
    of = kind(policy)
    ended = {Ending(of, "answered", "", "premium"): Sum(taken, spent, taken, spent, 1_000_000, 0)}
    advice = one(policy, Tally(kinds={of: taken}, ended=ended), code).advice
    assert f"a third lane would have taken {taken} requests at most and saved 1.5000 EUR at most" in advice.told
    assert "300 requests or more" in advice.rule
    assert advice.told.startswith("the data does not yet justify another lane") == (code == "another-lane-not-yet")


def test_refusals_while_the_only_lane_was_down_justify_a_lane() -> None:
    """What is refused because a class has one lane alone counts, and what another class lost does not."""
    policy = bench_policy()
    for data_class, code in (("restricted", "another-lane"), ("internal", "another-lane-not-yet")):
        of = Kind(policy.hash, "(none)", data_class, "routes[1]", "fallbacks[0]", RULES)
        ended = {Ending(of, "refused", "lanes_failed", ""): Sum(30)}
        assert one(policy, Tally(kinds={of: 60}, ended=ended), code)


@pytest.mark.parametrize(
    ("waiver", "left"),
    [
        ("waiver: {lanes: [home, premium], until: 2030-01-01, by: A}", None),
        ("waiver: [{lanes: [home], until: 2030-01-01, by: A}, {lanes: [premium], until: 2030-01-01, by: B}]", "[home]"),
    ],
)
def test_a_waiver_goes_alone(waiver: str, left: Any) -> None:
    """The only waiver goes with its key, one of several with nothing but itself, in both styles of YAML."""
    flow = f"gate: {{checks: [empty], {waiver}, weak: marked}}\n"
    block = f"gate:\n  checks: [empty]\n  {waiver}\n  weak: marked   # ends it\n"
    for text in (flow, block):
        source = Source(text, "x.yaml")
        gate, node = source.at("gate"), source.at("gate", "waiver")
        assert gate is not None
        assert node is not None
        edit = source.drop(gate, "waiver") if left is None else source.cut(node, 1)
        after = Source(applied(text, [edit]), "x.yaml")
        kept = after.at("gate", "waiver", 0, "lanes", 0)
        assert (kept.value if kept else None) == ("home" if left else None)
        assert after.at("gate", "weak") is not None
        assert after.at("gate", "waiver", 1) is None
