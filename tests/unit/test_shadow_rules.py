"""shadow, without a lane: the grammar, what is decided, what is proved, what two policies say, and the sums."""

from __future__ import annotations

import datetime

import pytest
from tests.policies import SMALL, changed

from laneway.decide import decide
from laneway.decision import Route
from laneway.diff.compare import compare
from laneway.errors import PolicyError
from laneway.evidence.owed import findings
from laneway.evidence.standing import Standing
from laneway.explain import contract
from laneway.facts import Facts
from laneway.policy_file import parse
from laneway.proof.finding import Finding
from laneway.proof.verify import verify
from laneway.record import Compared
from laneway.seal import sealed
from laneway.shadowed import tallied
from laneway.signals import Ask, Signals
from laneway.store import Seen

TODAY = datetime.date(2026, 11, 24)
GATE = "gate:\n"


def policy(rule: str, source: str = SMALL) -> str:
    """A policy whose one shadow is `rule`; `away` has neither evidence nor a waiver."""
    return changed(GATE, f"shadow: [{rule}]\n{GATE}", source).replace("lanes: [home, away]", "lanes: [home]")


RULE = "{says: Is it as good?, when: {sensitivity: public}, lanes: [away], share: 0.1, budget: 2, until: 2026-12-01}"


def decided(source: str, sensitivity: str = "public") -> Route:
    """What is decided on the day."""
    made = decide(parse(source), Ask(), Signals(sensitivity=sensitivity), Facts(today=TODAY))
    assert isinstance(made, Route)
    return made


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("share: 0.1", "share: 0", "above 0 and at most 1"),
        ("share: 0.1", "share: 1.5", "above 0 and at most 1"),
        (", share: 0.1", "", "needs `share`"),
        (", until: 2026-12-01", "", "needs `until`"),
        ("lanes: [away]", "lanes: [cheapest]", "lane or zone"),
        ("lanes: [away]", "lanes: []", "at least one word"),
        ("lanes: [away]", "lanes: [nowhere]", "nowhere"),
        ("budget: 2", "judge: []", "at least one word"),
        (", budget: 2", "", "away may cost money: say how much a day with `budget`"),
        (
            "lanes: [away], share: 0.1, budget: 2",
            "lanes: [home], share: 0.1, judge: [strongest]",
            "away may cost money",
        ),
        ("share", "shares", "unknown key"),
    ],
)
def test_a_rule_that_says_too_little_or_too_much_is_named(old: str, new: str, says: str) -> None:
    """With the rule's line, what is wrong, and what to write."""
    assert old in RULE
    with pytest.raises(PolicyError) as told:
        parse(policy(RULE.replace(old, new)))
    assert says in str(told.value)


def test_a_lane_without_a_price_cannot_be_held_by_a_budget() -> None:
    """And one that costs nothing needs none."""
    with pytest.raises(PolicyError, match="price of away is not known"):
        parse(policy(RULE, changed(", price: 3", "", SMALL)))
    assert parse(policy(RULE.replace("[away]", "[home]").replace(", budget: 2", ""))).shadows[0].budget is None


def test_a_lane_answers_unseen_without_evidence_where_the_wall_leaves_it() -> None:
    """The evidence rule shuts `away` to every answer; the wall alone shuts it to a shadow of what is restricted."""
    route = decided(policy(RULE))
    assert (route.lanes, [(x.rule, x.lanes) for x in route.shadow]) == (("home",), [("shadow[0]", ("away",))])
    assert [r.effect for r in route.reasons if r.code == "shadow"] == ["a share of 0.1 is also answered unseen by away"]
    everything = policy(RULE.replace("when: {sensitivity: public}, ", ""))
    assert decided(everything, sensitivity="restricted").shadow == ()
    plan = contract(route, Signals(sensitivity="public"), "")["plan"]
    assert isinstance(plan, dict)
    assert plan["shadow"] == [{"rule": "shadow[0]", "lanes": ["away"], "judge": []}]


def test_a_shadow_ends_on_its_day_and_a_pinned_request_has_none() -> None:
    """The day itself still counts; a closed lane is not asked, nor one that the request does not fit."""
    made = parse(policy(RULE))
    signals = Signals(sensitivity="public")
    last, over = datetime.date(2026, 12, 1), datetime.date(2026, 12, 2)
    found = [
        decide(made, ask, signals, Facts(today=day, closed=closed))
        for ask, day, closed in (
            (Ask(), last, {}), (Ask(), over, {}), (Ask(pin="home"), TODAY, {}), (Ask(), TODAY, {"away": "out"}),
        )
    ]  # fmt: skip
    assert [bool(route.shadow) for route in found if isinstance(route, Route)] == [True, False, False, False]


def test_who_compares_must_be_open_by_the_evidence_rule() -> None:
    """`away` may answer unseen; it may not judge before it may serve."""
    judged = policy(RULE.replace("lanes: [away]", "lanes: [home], judge: [strongest]"))
    assert decided(judged).shadow[0].judge == ("home",)
    waived = changed("lanes: [home], until", "lanes: [home, away], until", judged)
    assert decided(waived).shadow[0].judge == ("away", "home")


def found(source: str) -> dict[str, Finding]:
    """What `check` finds."""
    return {finding.code: finding for finding in verify(parse(source), TODAY).findings}


@pytest.mark.parametrize("key", ["lanes: [away]", "lanes: [all]", "lanes: [home], judge: [away]"])
def test_check_finds_a_planted_leak(key: str) -> None:
    """A shadow for every request names a lane that the wall forbids to what is restricted: an error with a witness."""
    sound = policy(RULE.replace("lanes: [away]", key))
    assert "names-forbidden-lane" not in found(sound)
    leak = found(policy(RULE.replace("lanes: [away]", key).replace("when: {sensitivity: public}, ", "")))
    planted = leak["names-forbidden-lane"]
    assert (planted.about, planted.lane) == ("shadow[0]", "away")
    assert planted.witness is not None
    assert planted.witness.signals.sensitivity == "restricted"


def test_check_warns_of_a_shadow_that_nobody_can_judge() -> None:
    """Each judge is one of the two lanes, or of the family of one; a lane of another family may."""
    judged = policy(RULE.replace("share", "judge: [home], share"))
    (found,) = (each for each in findings(Standing(parse(judged)), TODAY) if each.code == "never-judged")
    assert (found.about, found.severity) == ("shadow[0]", "warning")
    assert "nobody can judge what away says" in found.message
    third = judged.replace("strength: [home,", "strength: [home, third,").replace(
        "lanes:\n",
        'lanes:\n  third: {kind: local, provider: openai, url: "http://127.0.0.1:9/v1", model: qwen3, price: 0}\n',
        1,
    )
    alike = third.replace("judge: [home]", "judge: [third]")
    assert not [each for each in findings(Standing(parse(alike)), TODAY) if each.code == "never-judged"]
    assert [e for e in findings(Standing(parse(third.replace("judge: [home], share", "judge: [away], share"))), TODAY)
            if e.code == "never-judged"]  # fmt: skip


def test_a_must_holds_for_shadows_too() -> None:
    """No rule but the shadow leads public data to `away`; a promise that it never goes there is broken by it."""
    must = "must: [{says: Nothing goes away., never: {lane: {name: away}}}]\n"
    plain = changed(GATE, must + GATE, SMALL).replace("lanes: [home, away]", "lanes: [home]")
    assert "must-broken" not in found(plain)
    broken = found(policy(RULE, changed(GATE, must + GATE, SMALL)))["must-broken"]
    assert broken.lane == "away"
    over = found(policy(RULE.replace("2026-12-01", "2026-11-23"), changed(GATE, must + GATE, SMALL)))
    assert "must-broken" not in over
    assert over["shadow-over"].severity == "warning"


def test_what_a_shadow_costs_counts_for_a_must() -> None:
    """A ceiling holds the request and its shadows together; without one the shadow may cost anything."""
    must = "must: [{says: Cheap., never: {cost: {over: 1}}}]\n"
    source = policy(RULE, changed(GATE, must + GATE, SMALL))
    assert "must-broken" in found(source)
    held = changed("unlabelled: {sensitivity: public}", "unlabelled: {sensitivity: public, ceiling: 1}", source)
    assert "must-broken" not in found(held)


def test_diff_tells_of_a_shadow() -> None:
    """A lane gained unseen is gained, and the rule's share, money and day are told."""
    source = changed(GATE, GATE, SMALL).replace("lanes: [home, away]", "lanes: [home]")
    report = compare(parse(source, "old.yaml"), parse(policy(RULE), "new.yaml"), TODAY)
    (change,) = report.changes
    assert change.gained == ("away",)
    (said,) = [d for d in report.differences if d.about.startswith("shadow")]
    assert (said.old, said.new) == ("added", "stated")
    assert "of 0.1 by away until 2026-12-01" in said.about
    assert "at most 2 a day" in said.about


def test_the_seal_covers_a_shadow() -> None:
    """Another share is another policy than the one that was approved."""
    approved = sealed(parse(policy(RULE)), by="Ann", on=TODAY)
    assert "approval-broken" not in found(approved)
    assert "approval-broken" in found(changed("share: 0.1", "share: 0.2", approved))


def test_sums_keep_what_is_different_apart() -> None:
    """A failed answer is lost, a tie and a word that went with the place decide nothing, an early end counts nowhere."""
    at = datetime.datetime(2026, 11, 24, tzinfo=datetime.UTC)

    def seen(result: str, **more: object) -> Seen:
        values = {"id": "a", "lane": "b", "incumbent": "c", "rule": "r", "result": result, "cost": 0.5} | more
        return Seen(at, Compared(**values), None)  # type: ignore[arg-type]

    (row,) = tallied([
        seen("better", seconds=1.0), seen("worse"), seen("tie"), seen("position"), seen("unjudged"),
        seen("failed", failed=("empty", "cut-off")), seen("failed", code="late"), seen("failed", code="interrupted"),
    ])  # fmt: skip
    assert (row.asked, row.interrupted, row.cost) == (8, 1, 4.0)
    assert (row.standing.wins, row.standing.losses, row.standing.ties) == (1, 3, 2)
    assert (row.failed_checks, row.no_answer, row.verdict) == (1, 1, "open")
    assert row.checks == {"empty": 1, "cut-off": 1}
    (bad,) = tallied([seen("failed", code="late")] * 40)
    assert bad.verdict == "worse"
