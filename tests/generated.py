"""Generated policies: random lanes, zones, rules and conditions, small enough to meet every corner often."""

from __future__ import annotations

import datetime

from hypothesis import strategies as st

from laneway import condition
from laneway.condition import ALWAYS, All, Any, Condition, Not
from laneway.lane import KINDS, Lane, Limits, Price, Zone
from laneway.policy import (
    Bar,
    Deadline,
    Detect,
    FactType,
    Gate,
    Grant,
    Limit,
    Policy,
    Ranking,
    Review,
    Shadow,
    Unlabelled,
    Waiver,
    Workload,
)

CLASSES = ("public", "internal", "confidential", "restricted")
LANES = ("home", "vault", "shared", "premium")
TODAY = datetime.date(2026, 11, 24)
FACT_VALUES: dict[str, tuple[object, ...]] = {
    "sensitivity": CLASSES,
    "difficulty": ("routine", "hard", "unknown"),
    "stakes": ("normal", "high"),
    "latency": ("interactive", "background", "batch"),
    "workload": (None, "review", "chore"),
    "matter": (None, "open", "domestic"),
    "tokens": (0, 50, 5_000, 200_000),
    "ceiling": (None, 0.0, 0.001, 1.0),
}
WORDS = {"sensitivity", "difficulty", "stakes", "latency", "workload", "matter"}


def fact_tests() -> st.SearchStrategy[Condition]:
    """One fact against some of its values."""

    def words(fact: str) -> st.SearchStrategy[Condition]:
        known = [value for value in FACT_VALUES[fact] if value is not None]
        return st.sets(st.sampled_from(known), min_size=1, max_size=len(known) - 1).map(
            lambda chosen: condition.Test(fact, "in", frozenset(chosen))  # type: ignore[arg-type]
        )

    bounds = st.builds(
        lambda fact, op, bound: condition.Test(fact, op, frozenset({bound})),
        st.sampled_from(["tokens", "ceiling"]), st.sampled_from(["over", "under", "at_least", "at_most"]),
        st.sampled_from([0.001, 40.0, 6_000.0]),
    )  # fmt: skip
    return st.one_of(bounds, *(words(fact) for fact in sorted(WORDS)))


def facts_in(tree: Condition) -> list[str]:
    """Every fact that a condition tests, as often as it does."""
    if isinstance(tree, (All, Any)):
        return [fact for part in tree.parts for fact in facts_in(part)]
    return facts_in(tree.part) if isinstance(tree, Not) else [tree.fact] if isinstance(tree, condition.Test) else []


def conditions() -> st.SearchStrategy[Condition]:
    """Small trees of tests, each of another fact: `stakes: high or normal` says nothing that could be a cause."""
    return st.recursive(
        fact_tests(),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(tuple(parts))),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: Any(tuple(parts))),
            inner.map(Not),
        ),
        max_leaves=4,
    ).filter(lambda tree: len(facts_in(tree)) == len(set(facts_in(tree))))


whens = st.one_of(st.just(ALWAYS), conditions())
lanes = st.fixed_dictionaries({
    name: st.builds(
        Lane, name=st.just(name), kind=st.sampled_from(KINDS), provider=st.just("openai"),
        url=st.just("http://127.0.0.1:1/v1"), model=st.just("m"),
        price=st.sampled_from([None, Price(0, 0, 0), Price(1, 4, 1), Price(30, 90, 3)]),
        limits=st.sampled_from([Limits(), Limits(context=1_000), Limits(output=64)]),
        runs=st.sampled_from([None, frozenset({"SE"}), frozenset({"US"})]),
        supports=st.sampled_from([None, frozenset({"tools"})]),
    )
    for name in LANES
})  # fmt: skip
ZONES = {
    "ours": Zone(name="ours", kind=frozenset({"local", "private"})),
    "paid": Zone(name="paid", kind=frozenset({"managed-open", "premium"})),
    "named": Zone(name="named", lanes=frozenset({"home", "shared"})),
}
zones = st.lists(st.sampled_from(sorted(ZONES)), max_size=2, unique=True).map(tuple)
ranking_words = st.lists(
    st.sampled_from(["cheapest", "safest", "strongest", "fastest", "next", *LANES, *ZONES]), min_size=1, max_size=3
).map(tuple)  # fmt: skip

shadow_words = st.lists(st.sampled_from([*LANES, *ZONES]), min_size=1, max_size=2).map(tuple)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A policy of up to a dozen rules over four classes and four lanes."""

    def rankings(key: str) -> tuple[Ranking, ...]:
        made = draw(st.lists(st.tuples(whens, ranking_words, st.sampled_from(["hold", "refuse"])), max_size=3))
        made += draw(st.sampled_from([[(ALWAYS, ("cheapest",), "refuse")], []]))
        return tuple(
            Ranking(id=f"{key}[{i}]", says=f"{key} {i}", when=when, words=words, stop=stop)  # type: ignore[arg-type]
            for i, (when, words, stop) in enumerate(made)
        )

    grants = draw(st.lists(st.tuples(st.sets(st.sampled_from(CLASSES), min_size=1), zones), max_size=4))
    grants += draw(st.sampled_from([[({*CLASSES}, ("ours", "paid"))], []]))
    limits = draw(st.lists(st.tuples(conditions(), zones), max_size=1))
    reviews = draw(st.lists(conditions(), max_size=1))
    waivers = draw(st.lists(st.tuples(st.sets(st.sampled_from(LANES)), st.sampled_from([-1, 0, 9])), max_size=2))
    waivers += draw(st.sampled_from([[({*LANES}, 9)], []]))
    weak, judge = draw(ranking_words), draw(st.one_of(st.just(()), ranking_words))
    sets = draw(st.sampled_from([(), ("evals/review.yaml",)]))
    unseen = draw(st.lists(st.tuples(whens, shadow_words, st.one_of(st.just(()), ranking_words),
                                     st.sampled_from([-1, 0, 9])), max_size=2))  # fmt: skip
    return Policy(
        name="generated", text="", hash="", file="generated", currency="EUR", classes=CLASSES,
        unlabelled=Unlabelled(sensitivity="internal"), lanes=draw(lanes), strength=draw(st.permutations(LANES).map(tuple)),
        zones=ZONES,
        grants=tuple(Grant(id=f"wall[{i}]", says=f"wall {i}", classes=frozenset(c), zones=z)
                     for i, (c, z) in enumerate(grants)),
        limits=tuple(Limit(id=f"limit[{i}]", says=f"limit {i}", when=c, zones=z) for i, (c, z) in enumerate(limits)),
        routes=rankings("routes"), fallbacks=rankings("fallbacks"),
        reviews=tuple(Review(id=f"reviews[{i}]", says=f"review {i}", when=c) for i, c in enumerate(reviews)),
        shadows=tuple(Shadow(id=f"shadow[{i}]", says=f"shadow {i}", when=when, lanes=words, share=0.5, judge=judges,
                             budget=1.0, until=TODAY + datetime.timedelta(days=days))
                      for i, (when, words, judges, days) in enumerate(unseen)),
        gate=Gate(says="gate", bar=Bar(0.9, 0.95) if sets else None, checks=("empty", "judge") if judge else ("empty",), judge=judge, weak=weak,
                  weak_stop=draw(st.sampled_from(["hold", "refuse", "marked"])),
                  waivers=tuple(Waiver(id=f"gate.waiver[{i}]", says=f"waiver {i}", lanes=frozenset(names), by="DPO",
                                       until=TODAY + datetime.timedelta(days=days))
                                for i, (names, days) in enumerate(waivers))),
        workloads={"review": Workload(name="review", evals=sets), "chore": Workload(name="chore")},
        facts={"matter": FactType("matter", ("open", "domestic"))},
        deadlines={"interactive": Deadline(4, 60, draw(st.sampled_from([None, 1])))}, detect=Detect(identifiers={"*": "restricted"}, unreadable="restricted"),
    )  # fmt: skip
