"""matrix: what is said of a class and a lane over all requests is what the interpreter does with each of them."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.generated import TODAY, policies
from tests.policies import FULL, changed
from tests.unit.test_proof import free

from laneway.decide import decide
from laneway.decision import Hold, Route
from laneway.facts import Facts
from laneway.lane import KINDS, Zone
from laneway.people.matrix import Matrix, Use
from laneway.policy import Grant, Policy, Ranking, Waiver
from laneway.policy_file import parse
from laneway.proof.finding import Subject, without
from laneway.proof.oracle import Enumeration, Solver
from laneway.proof.space import Space, signals_of
from laneway.signals import Ask


def matrix(policy: Policy, *, solver: bool = False) -> Matrix:
    """The policy's matrix on the tests' day."""
    space = Space(policy)
    return Matrix(Subject(policy, TODAY, space, Solver(space, 60) if solver else Enumeration(space)))


def routes(policy: Policy) -> list[tuple[str, Route]]:
    """What the interpreter decides for every request that can be, while every lane works, with its class."""
    space, found = Space(policy), []
    possible = Enumeration(space).requests(space.possible)
    for place, cell in enumerate(itertools.product(*(range(len(d.values)) for d in space.dimensions))):
        if possible >> place & 1:
            signals = signals_of(space, cell)
            decision = decide(policy, Ask(), signals, without(policy, signals, (), TODAY))
            if isinstance(decision, Route):
                found.append((signals.sensitivity, decision))
    return found


def opened(policy: Policy) -> Policy:
    """The policy with every lane open to every class, so that its rankings decide."""
    zone = Zone(name="all", kind=frozenset(KINDS))
    return replace(
        policy, zones=policy.zones | {"all": zone},
        grants=(Grant(id="wall[0]", classes=frozenset(policy.classes), zones=("all",)),),
        gate=replace(policy.gate, waivers=(Waiver(id="w", lanes=frozenset(policy.lanes), until=date.max, by="us"),)),
        routes=(*policy.routes, Ranking(id="last", words=("strongest",))),
    )  # fmt: skip


@given(policies(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_first_choice_and_who_takes_over_are_the_interpreters(made: Policy, wide: bool) -> None:
    """For every class and lane, over every request: the same lanes come first, and the same follow when one fails."""
    policy = opened(free(made)) if wide else free(made)
    assume(Space(policy).size <= 4000)
    first, after = set(), defaultdict(set)
    for data_class, route in routes(policy):
        begun, *others = route.lanes
        first.add((data_class, begun))
        after[data_class, begun].add(others[0] if others else route.on_failure)
    said = matrix(policy)
    pairs = [(c, lane) for c in policy.classes for lane in policy.lanes]
    assert {pair for pair in pairs if said.use(*pair).way == "first choice"} == first
    assert {pair: set(said.taking_over(*pair)) for pair in pairs if said.taking_over(*pair)} == after


@given(policies())
@settings(max_examples=30, deadline=None)
def test_both_provers_draw_the_same_matrix(made: Policy) -> None:
    """Enumeration and z3 say the same of every class and lane."""
    one, other = matrix(made), matrix(made, solver=True)
    for pair in [(c, lane) for c in made.classes for lane in made.lanes]:
        assert one.use(*pair) == other.use(*pair)
        assert one.taking_over(*pair) == other.taking_over(*pair)


def test_a_review_makes_every_use_wait_for_a_person() -> None:
    """Where all requests of a class need an approval, its lanes are `after approval`, and for some it is said."""
    source = FULL.replace("  - {when: {team: press}, release: now}\n", "  - {when: {sensitivity: restricted}}\n")
    made = matrix(parse(source))
    assert made.use("restricted", "home") == Use("after approval")
    assert made.use("confidential", "rack").approval
    assert made.use("public", "bench") == Use("never")
    assert isinstance(decide_restricted(source), Hold)


def decide_restricted(source: str) -> object:
    """What the interpreter says of a restricted request."""
    policy = parse(source)
    space = Space(policy)
    cell = Enumeration(space).find(space.cell_in("sensitivity", lambda v: v == "restricted"))
    assert cell is not None
    return decide(policy, Ask(), signals_of(space, cell), Facts(today=TODAY))


@pytest.mark.parametrize(
    ("weak", "judge", "use"),
    [
        ("[strongest, hold]", "home", "weak answers only"),
        ("[hold]", "[rack, strongest]", "judges only"),
        ("[hold]", "home", "not used"),
    ],
)
def test_a_lane_that_only_redoes_weak_answers_or_judges_is_named_so(weak: str, judge: str, use: str) -> None:
    """Nothing starts at it or falls back to it: with the escalation and the judge gone it is not used at all."""
    source = changed("try: strongest", "try: [home, rack]")
    source = changed("try: [shared, ours]", "try: home", source)
    source = changed("try: cheapest", "try: home", source)
    source = changed("then: [next, refuse]", "then: [rack, refuse]", source)
    source = changed("weak: [strongest, hold]", f"weak: {weak}", source)
    source = changed("judge: [safest, strongest]", f"judge: {judge}", source)
    assert matrix(parse(source)).use("public", "premium").way == use
