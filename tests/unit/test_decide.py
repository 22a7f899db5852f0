"""decide: total, deterministic, walled, and causally explained, on generated policies and requests."""

from __future__ import annotations

import datetime
import random
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.generated import (
    CLASSES,
    FACT_VALUES,
    LANES,
    TODAY,
    ZONES,
    policies,
)
from tests.policies import FULL

from laneway import condition
from laneway.condition import fact_of
from laneway.decide import decide
from laneway.decision import Decision, Hold, Reason, Refuse, Route
from laneway.facts import Facts
from laneway.gate import can_change
from laneway.lane import Lane, Price
from laneway.policy import Detect, Gate, Grant, Limit, Policy, Ranking, Review, Unlabelled, Waiver
from laneway.policy_file import parse
from laneway.record import Opening
from laneway.signals import Ask, Signals
from laneway.wall import walled


class Given(NamedTuple):
    """One generated request under one generated policy."""

    policy: Policy
    ask: Ask
    signals: Signals
    facts: Facts


def given_from(policy: Policy, dice: random.Random) -> Given:
    """Any values of every fact that the generated policies test."""
    chosen = {fact: dice.choice(values) for fact, values in FACT_VALUES.items()}
    matter = chosen.pop("matter")
    return Given(
        policy,
        Ask(pin=dice.choice([None, None, None, *LANES]), max_output=dice.choice([None, 10, 4_000])),
        Signals(**chosen, needs=dice.choice([(), ("tools",), ("vision",)]),  # type: ignore[arg-type]
                declared={} if matter is None else {"matter": matter}),  # type: ignore[dict-item]
        Facts(today=TODAY, closed=dice.choice([{}, {"premium": "its key is not set"}]),
              p95=dice.choice([{}, {"shared": 0.2, "home": 1.0}])),
    )  # fmt: skip


class Batch(NamedTuple):
    """A generated policy and the seed of ten requests under it."""

    policy: Policy
    seed: int

    def requests(self) -> list[Given]:
        """The ten requests."""
        dice = random.Random(self.seed)
        return [given_from(self.policy, dice) for _ in range(10)]


batches = st.builds(Batch, policies(), st.integers(0, 2**32))


def lanes_of(decision: Decision) -> set[str]:
    """Every lane that the decision may call."""
    return {*decision.lanes, *decision.escalate, *decision.judge} if isinstance(decision, Route) else set()


@settings(max_examples=300)
@given(batches)
def test_every_request_gets_one_decision_with_a_reason_for_every_lane(batch: Batch) -> None:
    """decide is total and deterministic, and each lane is either planned with a reason or rejected with one."""
    for one in batch.requests():
        decision = decide(*one)
        assert decision == decide(*one)
        assert decision.reasons
        assert {r.lane for r in (*decision.rejected, *decision.reasons)} >= set(LANES)
        assert not lanes_of(decision) & {r.lane for r in decision.rejected}


@settings(max_examples=300)
@given(batches)
def test_no_lane_of_a_plan_is_ever_behind_the_wall(batch: Batch) -> None:
    """First tries, fallbacks, escalations and judges all come from what the wall admits for the class."""
    for one in batch.requests():
        admitted = walled(one.policy, TODAY)[one.signals.sensitivity].admitted
        assert lanes_of(decide(*one)) <= set(admitted)


@settings(max_examples=500)
@given(policies())
def test_raising_the_class_never_adds_a_lane(policy: Policy) -> None:
    """What a class may use shrinks, or stays, from each class to the next more sensitive one."""
    wall = walled(policy, TODAY)
    for lower, higher in pairwise(CLASSES):
        assert set(wall[higher].admitted) <= set(wall[lower].admitted)


@settings(max_examples=500)
@given(policies(), st.data())
def test_removing_a_wall_entry_never_adds_a_lane(policy: Policy, data: st.DataObject) -> None:
    """Deleting any row of the wall's table leaves each class with the lanes it had, or fewer."""
    if not policy.grants:
        return
    gone = data.draw(st.sampled_from(policy.grants))
    before = walled(policy, TODAY)
    after = walled(replace(policy, grants=tuple(g for g in policy.grants if g is not gone)), TODAY)
    for data_class in CLASSES:
        assert set(after[data_class].admitted) <= set(before[data_class].admitted)


@settings(max_examples=300)
@given(batches)
def test_a_recorded_decision_replays_exactly(batch: Batch) -> None:
    """What the log keeps of a request is enough to decide it again, to the same Decision."""
    for policy, ask, seen, known in batch.requests():
        decision = decide(policy, ask, seen, known)
        opening = Opening(policy="", model="auto", ask=ask, signals=seen, facts=known, decision=decision, stream=False,
                          prompt="", size=0)  # fmt: skip
        kept = msgspec.json.decode(msgspec.json.encode(opening), type=Opening)
        assert decide(policy, kept.ask, kept.signals, kept.facts) == kept.decision == decision


Essence = tuple[object, ...]


def essence(decision: Decision, without: Reason | None = None) -> Essence:
    """What a decision does and which rules it cites, leaving one reason out; signals' values do not count."""
    reasons = [r for r in (*decision.reasons, *decision.rejected) if r != without]
    cited = sorted((r.code, r.rule, r.lane, r.says) for r in reasons)
    if not isinstance(decision, Route):
        return (type(decision), decision.reasons[0].code, *cited)
    return (Route, decision.lanes, decision.escalate, decision.judge, decision.on_failure, decision.on_weak, *cited)


def without_rule(policy: Policy, rule: str) -> Policy:
    """The policy with the cited rule deleted; the others keep their ids."""
    kept = {
        key: tuple(r for r in getattr(policy, key) if r.id != rule)
        for key in ("grants", "limits", "routes", "fallbacks", "reviews")
    }
    gate = replace(policy.gate, waivers=tuple(w for w in policy.gate.waivers if w.id != rule))
    if rule == "gate":
        gate = replace(gate, checks=(), judge=())
    return replace(policy, **kept, gate=gate)  # type: ignore[arg-type]  # the keys are rules' own


@settings(max_examples=1_000, phases=(Phase.explicit, Phase.generate))
@given(batches)
def test_explanations_are_causally_true(batch: Batch) -> None:
    """In 10,000 decisions: delete a cited rule or change a cited signal, and the decision or its next reason changes."""
    for one in batch.requests():
        _check_causes(one)


def _check_causes(given: Given) -> None:
    decision = decide(*given)
    policy = given.policy
    ids = {r.id for key in ("grants", "limits", "routes", "fallbacks", "reviews") for r in getattr(policy, key)}
    ids |= {w.id for w in policy.gate.waivers} | {"gate"}
    reasons = {*decision.reasons, *decision.rejected}
    for rule in {reason.rule for reason in reasons} & ids:
        after = essence(decide(*given._replace(policy=without_rule(policy, rule))))
        for reason in reasons:
            if reason.rule == rule:
                assert after != essence(decision, without=reason), f"{reason} is cited for nothing"
    for fact in {part.split("=")[0] for reason in reasons for part in reason.signal.split(", ") if part}:
        assert _some_change_matters(*given, fact, decision), (
            f"{fact} is cited for nothing in {sorted(reasons, key=str)}"
        )


def _some_change_matters(policy: Policy, ask: Ask, seen: Signals, known: Facts, fact: str, before: Decision) -> bool:
    if fact in ("model", "needs"):
        changed = Ask(None, ask.max_output) if fact == "model" else ask
        return essence(decide(policy, changed, msgspec.structs.replace(seen, needs=()), known)) != essence(before)
    now = fact_of(seen, fact)
    for value in FACT_VALUES[fact]:
        if value == now:
            continue
        if fact == "matter":
            other = msgspec.structs.replace(seen, declared={} if value is None else {"matter": value})
        else:
            other = msgspec.structs.replace(seen, **{fact: value})
        after = decide(policy, ask, other, known)
        if essence(after) != essence(before) or _signals(after) != _signals(before):
            return True
    return False


def _signals(decision: Decision) -> set[tuple[str, str]]:
    reasons = (*decision.reasons, *decision.rejected)
    return {(r.rule, part.split("=")[0]) for r in reasons for part in r.signal.split(", ")}


def simple(**changes: object) -> Policy:
    """Two lanes, routine work at home, the rest of the starter's shape."""
    home = Lane(
        name="home", kind="local", provider="openai", url="http://127.0.0.1:1/v1", model="m", price=Price(0, 0, 0)
    )
    premium = Lane(name="premium", kind="premium", provider="openai", url="https://api.example.com/v1", model="n",
                   price=Price(2, 10, 2))  # fmt: skip
    base = Policy(
        name="simple", text="", hash="", file="", currency="EUR", classes=CLASSES,
        unlabelled=Unlabelled(sensitivity="internal"), lanes={"home": home, "premium": premium},
        strength=("home", "premium"), zones={"ours": ZONES["ours"], "paid": ZONES["paid"]},
        grants=(Grant(id="wall[0]", classes=frozenset({"confidential", "restricted"}), zones=("ours",)),
                Grant(id="wall[1]", classes=frozenset({"public", "internal"}), zones=("ours", "paid"))),
        routes=(Ranking(id="routes[0]", words=("cheapest",)),),
        fallbacks=(Ranking(id="fallbacks[0]", words=("next",)),),
        gate=Gate(checks=("empty",), weak=("strongest",), weak_stop="hold",
                  waivers=(Waiver(id="gate.waiver", lanes=frozenset({"home", "premium"}), until=TODAY, by="DPO"),)),
        detect=Detect(identifiers={"*": "restricted"}, unreadable="restricted"),
    )  # fmt: skip
    return replace(base, **changes)  # type: ignore[arg-type]


def asked(policy: Policy, ask: Ask = Ask(), **given: object) -> Decision:  # noqa: B008
    """decide for an internal request with some facts given."""
    return decide(policy, ask, Signals(**({"sensitivity": "internal"} | given)), Facts(today=TODAY))  # type: ignore[arg-type]


def codes(decision: Decision) -> dict[str, str]:
    """Each rejected lane's reason code."""
    return {r.lane: r.code for r in decision.rejected}


def test_internal_work_starts_cheap_and_may_go_on() -> None:
    """The cheapest lane is first, the other follows a failure, and a weak answer goes to the stronger one."""
    decision = asked(simple())
    assert isinstance(decision, Route)
    assert (decision.lanes, decision.escalate, decision.on_weak) == (("home", "premium"), ("premium",), "hold")


def test_restricted_work_never_sees_the_paid_lane() -> None:
    """Behind the wall there is neither fallback nor escalation, and the wall is the reason."""
    decision = asked(simple(), sensitivity="restricted")
    assert isinstance(decision, Route)
    assert (decision.lanes, decision.escalate, codes(decision)) == (("home",), (), {"premium": "wall"})


def test_a_waiver_ends_after_its_day() -> None:
    """On the day after `until` the lane is shut, and the reason says when the waiver ended."""
    policy = simple()
    decision = decide(policy, Ask(), Signals(sensitivity="public"), Facts(today=TODAY + datetime.timedelta(days=1)))
    assert isinstance(decision, Refuse)
    assert codes(decision) == {"home": "no-evidence", "premium": "no-evidence"}
    assert "2026-11-24" in decision.rejected[0].effect


def test_a_pinned_lane_is_still_behind_the_wall() -> None:
    """Asking for a lane by name gets that lane alone, and nothing where the class may not use it."""
    assert lanes_of(asked(simple(), Ask(pin="premium"))) == {"premium"}
    refused = asked(simple(), Ask(pin="premium"), sensitivity="restricted")
    assert isinstance(refused, Refuse)
    assert codes(refused) == {"premium": "wall", "home": "pinned"}


def test_an_unknown_price_under_a_ceiling_shuts_the_lane() -> None:
    """Nobody guesses a price: without one, a lane cannot be held under a ceiling."""
    policy = simple()
    lanes = policy.lanes | {"home": replace(policy.lanes["home"], price=None)}
    assert codes(asked(replace(policy, lanes=lanes), ceiling=1.0))["home"] == "price-unknown"


def test_the_ceiling_caps_the_output() -> None:
    """The output that the money affords is worked out from the worst case, and a lane too dear is shut."""
    decision = asked(simple(), ceiling=0.01, tokens=500)
    assert isinstance(decision, Route)
    assert decision.caps["premium"] == 900
    assert codes(asked(simple(), ceiling=0.001, tokens=500))["premium"] == "ceiling"


def test_an_unknown_declared_fact_narrows_the_wall_and_matches_no_route() -> None:
    """What nobody said is read the strict way: limits and reviews apply, routes do not."""
    secret = condition.Test("matter", "in", frozenset({"domestic"}))
    limited = simple(limits=(Limit(id="limit", when=secret, zones=("ours",)),))
    assert codes(asked(limited)) == {"premium": "wall-limit"}
    assert codes(asked(limited, declared={"matter": "open"})) == {}
    routed = simple(routes=(Ranking(id="routes[0]", when=secret, words=("strongest",)),))
    assert asked(routed).reasons[0].code == "no-route"
    assert isinstance(asked(simple(reviews=(Review(id="reviews[0]", when=secret),))), Hold)


def test_work_that_needs_approval_is_held_and_names_the_rule() -> None:
    """A review rule turns the whole plan into a Hold, before any lane is called."""
    rule = Review(
        id="reviews[0]", says="A lawyer reads it first.", when=condition.Test("stakes", "in", frozenset({"high"}))
    )
    decision = asked(simple(reviews=(rule,)), stakes="high")
    assert isinstance(decision, Hold)
    assert (decision.reasons[0].rule, decision.reasons[0].says) == ("reviews[0]", "A lawyer reads it first.")


@pytest.mark.parametrize("need", ["tools", "vision"])
def test_a_lane_that_states_its_abilities_is_held_to_them(need: str) -> None:
    """A lane that says what it supports is not asked for anything else."""
    policy = simple()
    lanes = policy.lanes | {"home": replace(policy.lanes["home"], supports=frozenset({"json"}))}
    assert codes(asked(replace(policy, lanes=lanes), needs=(need,))) == {"home": "needs"}


def test_what_needs_approval_is_served_where_somebody_can_give_it() -> None:
    """With reviewers the answer is made and kept back, by the same lanes; without any nothing is called."""
    policy = parse(FULL)
    signals = Signals(sensitivity="confidential", workload="contract-review")
    alone = decide(policy, Ask(), signals, Facts(today=TODAY))
    assert isinstance(alone, Hold)
    assert alone.release == "after-approval"
    made = decide(policy, Ask(), signals, Facts(today=TODAY, reviewers=True))
    free = decide(replace(policy, reviews=()), Ask(), signals, Facts(today=TODAY))
    assert isinstance(made, Route)
    assert isinstance(free, Route)
    assert (made.release, free.release) == ("after-approval", "now")
    assert made.lanes == free.lanes
    assert [reason.code for reason in made.reasons if reason not in free.reasons] == ["approval-required"]
    assert all(can_change(policy, made, lane) for lane in made.lanes)
