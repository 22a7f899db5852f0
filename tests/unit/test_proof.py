"""proof: enumeration, z3 and the interpreter agree; each property is broken by the policy that breaks it alone."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.generated import TODAY, policies

from laneway.condition import fact_of
from laneway.decide import decide
from laneway.decision import Route
from laneway.errors import PolicyError
from laneway.lane import Price
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.proof.finding import Finding, Subject, called, without
from laneway.proof.oracle import ENUMERABLE, Enumeration, NotProved, Solver, choose
from laneway.proof.reach import Reach
from laneway.proof.space import Cell, In, Space, both, either, signals_of
from laneway.proof.verify import verify
from laneway.signals import Ask


def free(policy: Policy) -> Policy:
    """The policy without prices, which may close a lane within a cell, and without reviews, which hold."""
    lanes = {n: replace(x, price=x.price and Price(0, 0, 0)) for n, x in policy.lanes.items()}
    return replace(policy, lanes=lanes, reviews=())


def reachable(policy: Policy, space: Space, cell: Cell) -> frozenset[str]:
    """Every lane that the interpreter would call for the request in `cell`, over all outages."""
    lanes: frozenset[str] = frozenset()
    for n in range(len(policy.lanes)):
        for down in itertools.combinations(policy.lanes, n):
            signals = signals_of(space, cell)
            facts = without(policy, signals, down, TODAY)
            lanes |= called(policy, decide(policy, Ask(), signals, facts))
    return lanes


def at(cell: Cell) -> In:
    """The one request of `cell`, as a formula."""
    return both(*(In(i, 1 << k) for i, k in enumerate(cell)))  # type: ignore[return-value]


@given(policies(), st.randoms(use_true_random=False))
@settings(max_examples=2000, deadline=None)
def test_enumeration_solver_and_interpreter_agree_on_the_lanes_reached(made: Policy, dice: object) -> None:
    """For every lane: the same answer from both oracles, a witness that goes there, and a chance request likewise."""
    policy = free(made)
    space = Space(policy)
    reach, bits, solver = Reach(policy, space, TODAY), Enumeration(space), Solver(space, 60)
    for lane, reached in reach.reached.items():
        found, solved = bits.find(reached), solver.find(reached)
        assert (found is None) == (solved is None)
        for cell in {found, solved} - {None}:
            assert cell is not None
            assert lane in reachable(policy, space, cell)
    chance = tuple(dice.randrange(len(d.values)) for d in space.dimensions)  # type: ignore[attr-defined]
    assert reachable(policy, space, chance) == {n for n, f in reach.reached.items() if bits.find(both(f, at(chance)))}


@given(policies())
@settings(max_examples=200, deadline=None)
def test_a_witness_is_minimal_and_the_interpreter_follows_it(made: Policy) -> None:
    """Leaving out any printed fact leaves the set; the interpreter reaches the lane in the outage that is shown."""
    policy = free(made)
    space = Space(policy)
    subject = Subject(policy, TODAY, space, choose(space, 60))
    for lane, reached in subject.reach.reached.items():
        seen = subject.shown(reached, lane=lane)
        if seen is None:
            continue
        assert lane in called(policy, seen.decision)
        printed = [flag.removeprefix("--") for flag in seen.flags[::2]]
        facts = [
            value.partition("=")[0] if f == "fact" else f for f, value in zip(printed, seen.flags[1::2], strict=True)
        ]
        cell = tuple(d.cell[fact_of(seen.signals, d.fact)] for d in space.dimensions)
        for fact in (fact for fact in facts if fact != "evidence"):
            i = space.index[fact]
            usual = space.dimensions[i].cell[{"sensitivity": "internal"}.get(fact, space.dimensions[i].values[0])]
            dropped = (*cell[:i], usual, *cell[i + 1 :])
            assert fact == "workload" or subject.empty(both(reached, at(dropped)))


def test_what_nobody_could_prove_is_a_failure_and_says_so() -> None:
    """Time that runs out raises NotProved; the report is then not proved, though nothing was found."""
    policy = parse(CLEAN)
    space = Space(policy)
    with pytest.raises(NotProved, match="took longer than"):
        Solver(space, -1).find(either(Reach(policy, space, TODAY).reached.values()))
    large = CLEAN.replace("facts:\n", "facts:\n" + "".join(f"  f{i}: {{values: [a, b, c, d]}}\n" for i in range(14)))
    large = large.replace(
        "routes:\n", "routes:\n" + "".join(f"  - {{when: {{f{i}: a}}, try: safest}}\n" for i in range(14))
    )
    assert Space(parse(large)).size * 100 > ENUMERABLE
    report = verify(parse(large), TODAY, seconds=0.001)
    assert not report.proved
    assert "allow more" in report.unproved


CLEAN = """\
laneway: 1
name: clean
currency: EUR
sensitivity: [public, confidential, restricted]
unlabelled: {sensitivity: public}
lanes:
  home: {kind: local, provider: openai, url: "http://127.0.0.1:1/v1", model: m, price: 0}
  shared: {kind: managed-open, provider: openai, url: "https://s.example/v1", model: n, price: 1, runs: DE, stores: DE, dpa: 2026-01-01, verified: 2026-11-20}
  premium: {kind: premium, provider: openai, url: "https://p.example/v1", model: o, price: 3, runs: US, stores: US, dpa: 2026-01-01, transfer: DPF, verified: 2026-11-20}
strength: [home, shared, premium]
zones:
  ours: {kind: local}
  eea: {runs: EEA, stores: EEA, dpa: signed}
  world: {dpa: signed, transfer: valid}
wall:
  - {sensitivity: restricted, zones: [ours], says: Ours alone.}
  - {sensitivity: confidential, zones: [ours, eea], says: In the EEA.}
  - {sensitivity: public, zones: [ours, eea, world], says: Anywhere.}
  - {id: mergers, when: {matter: merger}, zones: [ours], says: No merger leaves.}
facts:
  matter: {values: [merger, other]}
workloads:
  contracts: {sensitivity: confidential, stakes: high, ceiling: 0.4}
routes:
  - {when: {stakes: high}, try: strongest, says: The best.}
  - {try: cheapest, says: The cheapest.}
gate: {checks: [empty], weak: [strongest, hold], waiver: {lanes: [home, shared, premium], until: 2027-11-01, by: me}}
deadlines: {interactive: {first_byte: 4s, total: 60s}}
fallbacks:
  - {when: {sensitivity: {at_least: confidential}}, then: [home, refuse], says: Home.}
  - {then: [next, refuse], says: The next.}
reviews:
  - {when: {workload: contracts}, says: A lawyer reads it.}
must:
  - {never: {sensitivity: {at_least: confidential}, lane: {runs: {not: EEA}, kind: {not: local}}}, says: The EEA.}
"""


def findings(*changes: tuple[str, str]) -> dict[str, Finding]:
    """What `verify` finds in CLEAN after the changes, errors by code."""
    source = CLEAN
    for old, new in changes:
        assert source.count(old) == 1, old
        source = source.replace(old, new)
    return {finding.code: finding for finding in verify(parse(source), TODAY).findings}


def test_a_clean_policy_is_proved_without_a_word() -> None:
    """No finding at all, by enumeration of every kind of request."""
    report = verify(parse(CLEAN), TODAY)
    assert report.findings == ()
    assert report.proved
    assert report.prover == "enumeration"


BROKEN = {
    "names-forbidden-lane": ("fallbacks[0]", ("then: [home, refuse]", "then: [shared, refuse]"), ["--sensitivity", "confidential"]),
    "must-broken": ("must[0]", ("{sensitivity: confidential, zones: [ours, eea]", "{sensitivity: confidential, zones: [ours, eea, world]"), ["--sensitivity", "confidential", "--fact", "matter=other"]),
    "must-vacuous": ("must[0]", ("{never: {sensitivity: {at_least: confidential}, lane", "{never: {workload: contracts, sensitivity: public, lane"), None),
    "class-forgotten": ("restricted", ("  - {sensitivity: restricted, zones: [ours], says: Ours alone.}\n", ""), ["--sensitivity", "restricted"]),
    "class-stranded": ("wall[0]", ("restricted, zones: [ours]", "restricted, zones: [none]"), ["--sensitivity", "restricted"]),
    "no-route": ("routes", ("  - {try: cheapest, says: The cheapest.}", "  - {when: {latency: batch}, try: cheapest}"), []),
    "dead-rule": ("routes[1]", ("  - {when: {stakes: high}, try: strongest, says: The best.}", "  - {try: strongest}"), None),
    "raising-adds-lane": ("mergers", ("when: {matter: merger}", "when: {sensitivity: public}"), None),
    "deadlines": ("deadlines.interactive", ("total: 60s", "total: 10s"), None),
    "ceiling-unmeetable": ("workloads.contracts", ("ceiling: 0.4", "ceiling: 0.00001"), None),
    "region-unknown": ("lanes.shared", ("price: 1, runs: DE, ", "price: 1, "), None),
    "todo": ("routes[1]", ("  - {try: cheapest, says: The cheapest.}", "  - says: Batch work waits for the night.\n  - {try: cheapest}"), None),
}  # fmt: skip


@pytest.mark.parametrize("code", BROKEN)
def test_each_mistake_is_named_with_the_request_that_shows_it(code: str) -> None:
    """One change, one code, the rule that it is about, and the smallest request where there is one."""
    about, change, flags = BROKEN[code]
    more = (
        [("  ours: {kind: local}\n", "  ours: {kind: local}\n  none: {retention: 0d, owner: SE}\n")]
        if "none" in change[1]
        else []
    )
    if code == "ceiling-unmeetable":  # a free lane would meet any ceiling
        more = [("model: m, price: 0", "model: m, price: 5")]
    found = findings(change, *more)[code]
    assert found.severity == "error"
    assert found.about == about
    if flags is not None:
        assert found.witness is not None
        assert list(found.witness.flags) == flags


def test_a_dead_rule_names_what_shadows_it() -> None:
    """The rule above it, by id and line."""
    found = findings(("  - {when: {stakes: high}, try: strongest, says: The best.}", "  - {try: strongest}"))
    assert "routes[0] (line 25) takes every request" in found["dead-rule"].message


def test_an_approval_that_can_never_apply_is_dead() -> None:
    """A workload that is at least confidential never meets a review of public ones."""
    found = findings(("when: {workload: contracts}", "when: {workload: contracts, sensitivity: public}"))
    assert found["dead-rule"].about == "reviews[0]"
    assert "no request can meet its condition" in found["dead-rule"].message


def test_a_fallback_to_a_dear_lane_shows_in_the_outage_that_leads_there() -> None:
    """The witness names the lanes that must be down, and the interpreter then takes the forbidden step."""
    never = "must:\n  - {never: {stakes: high, lane: {name: home}}, says: Never at home.}\n"
    found = findings(("must:\n", never))["must-broken"]
    assert found.witness is not None
    assert set(found.witness.down) <= {"shared", "premium"}
    assert isinstance(found.witness.decision, Route)
    assert "home" in called(parse(CLEAN), found.witness.decision)


def test_batch_work_under_its_ceiling_never_costs_more() -> None:
    """A cost property holds where a ceiling bounds it, and is broken where nothing does."""
    must = "must:\n  - {never: {workload: contracts, cost: {over: 0.5}}, says: Cheap.}\n"
    assert "must-broken" not in findings(("must:\n", must))
    assert "must-broken" in findings(("must:\n", must.replace("workload: contracts", "stakes: high")))


def test_a_deadline_counts_though_no_rule_tells_its_requests_apart() -> None:
    """Background work has its own total, also where nothing tests the latency."""
    found = findings(("deadlines: {", "deadlines: {background: {first_byte: 4s, total: 10s}, "))
    assert found["deadlines"].about == "deadlines.background"


def test_a_hedge_has_a_second_lane_to_ask() -> None:
    """One that no request could use is an error; one that some request can is not."""
    hedge = ("total: 60s", "total: 60s, hedge: 1s")
    assert "dead-hedge" not in findings(hedge)
    alone = findings(hedge, ("then: [home, refuse]", "then: refuse"), ("then: [next, refuse]", "then: refuse"))
    assert alone["dead-hedge"].severity == "error"
    assert alone["dead-hedge"].about == "deadlines.interactive"
    batch = findings(("deadlines: {", "deadlines: {batch: {hedge: 1m}, "))
    assert "dead-hedge" not in batch


def test_what_is_going_stale_is_warned_of() -> None:
    """An alias, a waiver about to end, a verification that ran out, a missing price."""
    found = findings(
        ("model: o, price: 3", "model: o-latest"), ("until: 2027-11-01", "until: 2026-11-30"),
        ("DPF, verified: 2026-11-20", "DPF, verified: 2026-01-01"),
    )  # fmt: skip
    assert {"alias", "price-unstated", "stale-waiver", "stale-verification"} <= set(found)
    assert all(finding.severity == "warning" for finding in found.values())


def test_a_fact_cannot_take_the_name_of_something_else() -> None:
    """`evidence` and `declared` are parts of a request's signals, so that a fact of that name would be misread."""
    for name in ("evidence", "declared", "tokens", "any"):
        with pytest.raises(PolicyError, match="is a word of the grammar"):
            parse(
                CLEAN.replace(
                    "  matter: {values: [merger, other]}",
                    f"  matter: {{values: [merger, other]}}\n  {name}: {{values: [a, b]}}",
                )
            )


def test_numbers_that_no_client_can_send_prove_nothing() -> None:
    """Between 0.000000001 and 0.000000002 lies no amount, and no request has a million million tokens."""
    never = "{tokens: {over: 999999999999}, lane: {name: home}}"
    assert "must-vacuous" in findings(("must:\n", f"must:\n  - {{never: {never}, says: Never.}}\n"))
    narrow = "{matter_size: {over: 0.000000001}, not: {matter_size: {at_least: 0.000000002}}, lane: {name: home}}"
    facts = (
        "  matter: {values: [merger, other]}",
        "  matter: {values: [merger, other]}\n  matter_size: {from: 0, to: 1}",
    )
    found = findings(facts, ("must:\n", f"must:\n  - {{never: {narrow}, says: Never.}}\n"))
    # What is unknown counts against it, so that the witness states no size at all.
    assert found["must-broken"].witness is not None
    assert "matter_size" not in " ".join(found["must-broken"].witness.flags)


def test_what_a_date_opens_later_is_not_proved_now() -> None:
    """A contract that begins tomorrow, also of a lane of our own."""
    tomorrow = ("model: m, price: 0", "model: m, price: 0, dpa: 2026-11-25")
    assert findings(tomorrow)["dated-ahead"].about == "lanes.home"


def test_many_lanes_and_rules_keep_the_time() -> None:
    """A hundred lanes, all but one of which must be down, are shown in an instant; no time is a failure at once."""
    names = [f"l{i}" for i in range(100)]
    lanes = "".join(
        f'  {n}: {{kind: local, provider: openai, url: "http://127.0.0.1:1/v1", model: m, price: 0}}\n' for n in names
    )
    source = CLEAN.replace("lanes:\n", f"lanes:\n{lanes}", 1).replace("strength: [", f"strength: [{', '.join(names)}, ")
    source = source.replace("lanes: [home, shared", f"lanes: [{', '.join(names)}, home, shared")
    source = source.replace("must:\n", "must:\n  - {never: {stakes: high, lane: {name: l50}}, says: Never there.}\n")
    started = time.monotonic()
    found = {f.code: f for f in verify(parse(source), TODAY, seconds=20).findings}
    assert time.monotonic() - started < 20
    assert found["must-broken"].lane == "l50"
    assert not verify(parse(source), TODAY, seconds=0).proved
    assert not verify(parse(source), TODAY, seconds=float("nan")).proved


def test_a_condition_of_a_thousand_parts_is_read_like_any_other() -> None:
    """Long lists of alternatives nest no deeper than their number needs."""
    parts = ", ".join(f"{{tokens: {{over: {i}}}}}" for i in range(1, 1200))
    policy = parse(CLEAN.replace("when: {stakes: high}", f"when: {{any: [{parts}]}}"))
    assert verify(policy, TODAY).proved
