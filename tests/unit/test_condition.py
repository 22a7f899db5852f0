"""Conditions: Kleene's three values, and reasons that are causes."""

from __future__ import annotations

from typing import Any as AnyValue

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policies import CLASSES

from laneway.condition import ALWAYS, All, Any, Condition, Not, fact_of
from laneway.condition import Test as Compare
from laneway.signals import DIFFICULTIES, LATENCIES, STAKES, Signals

TRUE = Compare("stakes", "in", frozenset({"high"}))
FALSE = Compare("latency", "in", frozenset({"batch"}))
UNKNOWN = Compare("matter", "in", frozenset({"merger"}))
SIGNALS = Signals(sensitivity="internal", stakes="high", latency="interactive")
VALUES = {True: TRUE, False: FALSE, None: UNKNOWN}


def fact(name: str, *values: str) -> Compare:
    """The fact is one of `values`."""
    return Compare(name, "in", frozenset(values))


@pytest.mark.parametrize("value", [True, False, None])
def test_the_three_values_stand_for_themselves(value: bool | None) -> None:
    """A test of a known fact is true or false, and of an undeclared one unknown."""
    assert VALUES[value].holds(SIGNALS) is value


@pytest.mark.parametrize(
    ("a", "b", "both", "either"),
    [
        (True, True, True, True), (True, False, False, True), (True, None, None, True),
        (False, True, False, True), (False, False, False, False), (False, None, False, None),
        (None, True, None, True), (None, False, False, None), (None, None, None, None),
    ],
)  # fmt: skip
def test_and_and_or_follow_kleene(a: bool | None, b: bool | None, both: bool | None, either: bool | None) -> None:
    """One false decides an and, one true decides an or, and otherwise the unknown stays unknown."""
    assert All((VALUES[a], VALUES[b])).holds(SIGNALS) is both
    assert Any((VALUES[a], VALUES[b])).holds(SIGNALS) is either


@pytest.mark.parametrize(("a", "negated"), [(True, False), (False, True), (None, None)])
def test_not_follows_kleene(a: bool | None, negated: bool | None) -> None:
    """The opposite of the unknown is unknown, so that negation never turns ignorance into knowledge."""
    assert Not(VALUES[a]).holds(SIGNALS) is negated


def test_a_rule_without_a_condition_always_holds() -> None:
    """`ALWAYS` holds and gives no signal as its cause."""
    assert ALWAYS.holds(SIGNALS) is True
    assert ALWAYS.because(SIGNALS) == ()


@pytest.mark.parametrize("declared", [{}, {"other": "x"}])
def test_an_undeclared_fact_is_unknown_and_says_so(declared: dict[str, str | float]) -> None:
    """A fact that nobody stated is unknown under every operator, and is cited as unknown."""
    signals = Signals(sensitivity="public", declared=declared)
    numeric = Compare("pages", "over", frozenset({3.0}))
    assert UNKNOWN.holds(signals) is None
    assert numeric.holds(signals) is None
    assert UNKNOWN.because(signals) == ("matter=unknown",)


@pytest.mark.parametrize("name", ["workload", "team", "region"])
def test_an_absent_word_is_a_known_answer(name: str) -> None:
    """No workload, team or region is known to be none of those that a rule names."""
    signals = Signals(sensitivity="public")
    assert fact(name, "x").holds(signals) is False
    assert Not(fact(name, "x")).holds(signals) is True
    assert fact(name, "x").because(signals) == (f"{name}=none",)


@pytest.mark.parametrize(
    ("op", "holds"), [("over", True), ("at_least", True), ("under", False), ("at_most", False), ("in", False)]
)
def test_no_ceiling_is_more_than_any_ceiling(op: AnyValue, holds: bool) -> None:
    """A request without a limit on its money counts as one whose limit is above every number."""
    assert Compare("ceiling", op, frozenset({1.0})).holds(Signals(sensitivity="public")) is holds


@pytest.mark.parametrize(
    ("op", "below", "equal", "above"),
    [
        ("at_least", False, True, True),
        ("at_most", True, True, False),
        ("over", False, False, True),
        ("under", True, False, False),
    ],
)
@pytest.mark.parametrize("name", ["ceiling", "tokens", "pages"])
def test_numbers_compare(op: AnyValue, below: bool, equal: bool, above: bool, name: str) -> None:
    """The four comparisons hold at, below and above their bound as their names say."""
    test = Compare(name, op, frozenset({10.0}))
    answers = [test.holds(_with(name, value)) for value in (9, 10, 11)]
    assert answers == [below, equal, above]


def _with(name: str, value: float) -> Signals:
    if name == "pages":
        return Signals(sensitivity="public", declared={"pages": value})
    return msgspec.structs.replace(Signals(sensitivity="public"), **{name: value})


def test_needs_hold_where_one_of_them_is_named() -> None:
    """A request with several needs meets a test that names any of them, and cites them all."""
    signals = Signals(sensitivity="public", needs=("vision", "tools"))
    assert fact("needs", "tools", "audio").holds(signals) is True
    assert fact("needs", "audio").holds(signals) is False
    assert fact("needs", "tools").because(signals) == ("needs=vision,tools",)


def test_a_declared_fact_does_not_hide_a_built_in_one() -> None:
    """A built-in fact is read from its own signal, whatever an organisation declares under that name."""
    assert fact_of(Signals(sensitivity="public", declared={"sensitivity": "restricted"}), "sensitivity") == "public"


def test_one_alternative_is_named() -> None:
    """Of several alternatives that hold, only the first is given as the cause."""
    either = Any((fact("difficulty", "hard"), fact("stakes", "high"), fact("latency", "batch")))
    signals = Signals(sensitivity="public", stakes="high", latency="batch")
    assert either.because(signals) == ("stakes=high",)


def test_one_alternative_is_named_inside_an_and() -> None:
    """An and cites all its parts, and of an alternative among them only the one that holds."""
    both = All((fact("sensitivity", "public"), Any((fact("stakes", "high"), fact("latency", "batch")))))
    assert both.because(Signals(sensitivity="public", latency="batch")) == ("sensitivity=public", "latency=batch")


def test_an_alternative_that_may_hold_is_named_where_none_does() -> None:
    """Where no alternative is known to hold, the one that is unknown is the cause."""
    either = Any((fact("stakes", "high"), UNKNOWN))
    assert either.because(Signals(sensitivity="public")) == ("matter=unknown",)


def test_a_negation_cites_only_what_made_it_true() -> None:
    """Of an and that fails, a negation cites the part that failed: the other one changes nothing."""
    negated = Not(All((fact("stakes", "high"), fact("latency", "batch"))))
    assert negated.because(Signals(sensitivity="public", stakes="high")) == ("latency=interactive",)


# Reasons are causes

DOMAINS: dict[str, tuple[str, ...]] = {
    "sensitivity": CLASSES, "difficulty": DIFFICULTIES, "stakes": STAKES, "latency": LATENCIES,
    "workload": ("a", "b"), "matter": ("merger", "none"),
}  # fmt: skip


def _signals(values: dict[str, str]) -> Signals:
    built_in = {name: value for name, value in values.items() if name != "matter"}
    return msgspec.convert({**built_in, "declared": {"matter": values["matter"]}}, Signals)


@st.composite
def _conditions(draw: st.DrawFn, negation: bool = True) -> Condition:
    """A condition that looks at every fact at most once, and that no single fact makes trivial."""
    names = draw(st.lists(st.sampled_from(sorted(DOMAINS)), min_size=1, unique=True))
    parts: list[Condition] = [draw(_tests(name)) for name in names]
    while len(parts) > 1:
        taken = draw(st.integers(2, len(parts)))
        joined: Condition = All(tuple(parts[:taken])) if draw(st.booleans()) else Any(tuple(parts[:taken]))
        parts = [*parts[taken:], Not(joined) if negation and draw(st.booleans()) else joined]
    return parts[0]


def _tests(name: str) -> st.SearchStrategy[Condition]:
    domain = DOMAINS[name]
    some = st.sets(st.sampled_from(domain), min_size=1, max_size=len(domain) - 1)
    return some.map(lambda values: Compare(name, "in", frozenset(values)))


_VALUES = st.fixed_dictionaries({name: st.sampled_from(domain) for name, domain in DOMAINS.items()})


def _cited(condition: Condition, values: dict[str, str]) -> set[str]:
    return {signal.partition("=")[0] for signal in condition.because(_signals(values))}


def _others(name: str, value: str) -> list[str]:
    return [other for other in DOMAINS[name] if other != value]


@given(_conditions(), _VALUES)
def test_what_is_not_cited_does_not_matter(condition: Condition, values: dict[str, str]) -> None:
    """Where a condition holds, the cited signals are enough: no other signal of a request can undo it."""
    if not condition.holds(_signals(values)):
        return
    cited = _cited(condition, values)
    for name in set(DOMAINS) - cited:
        for other in _others(name, values[name]):
            assert condition.holds(_signals(values | {name: other})) is True


@given(_conditions(), _VALUES)
def test_every_cited_signal_is_a_cause(condition: Condition, values: dict[str, str]) -> None:
    """Change what is cited, again and again: at last the condition does not hold, whatever alternatives it had."""
    left = dict(values)
    changed: set[str] = set()
    while condition.holds(_signals(left)):
        cited = _cited(condition, left)
        assert cited, "a condition that holds cites something"
        assert cited - changed, "what is cited next has not been changed before"
        before = dict(left)
        for name in sorted(cited - changed):
            left = _first_that_undoes(condition, left, name)
        assert left != before
        changed |= cited


def _first_that_undoes(condition: Condition, values: dict[str, str], name: str) -> dict[str, str]:
    """`values` with `name` changed so that the test of it answers otherwise."""
    test = next(t for t in _leaves(condition) if t.fact == name)
    now = test.holds(_signals(values))
    other = next(o for o in _others(name, values[name]) if test.holds(_signals(values | {name: o})) is not now)
    return values | {name: other}


def _leaves(condition: Condition) -> list[Compare]:
    if isinstance(condition, Compare):
        return [condition]
    parts = (
        condition.parts
        if isinstance(condition, (All, Any))
        else (condition.part,)
        if isinstance(condition, Not)
        else ()
    )
    return [leaf for part in parts for leaf in _leaves(part)]


@given(_conditions(negation=False), _VALUES)
def test_any_one_cited_signal_changes_the_answer_or_its_reason(condition: Condition, values: dict[str, str]) -> None:
    """Change any one cited signal: the condition no longer holds, or it holds for another reason."""
    if not condition.holds(_signals(values)):
        return
    cited = _cited(condition, values)
    for name in cited:
        changed = _first_that_undoes(condition, values, name)
        assert not condition.holds(_signals(changed)) or _cited(condition, changed) != cited


@given(_conditions(), _VALUES)
def test_knowing_less_never_flips_an_answer(condition: Condition, values: dict[str, str]) -> None:
    """Without a declared fact the answer stays what it was or becomes unknown, but never the opposite."""
    known = condition.holds(_signals(values))
    less = condition.holds(msgspec.structs.replace(_signals(values), declared={}))
    assert less is None or less is known
