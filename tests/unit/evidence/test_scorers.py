"""scorers: what each one grades, and that a failing one is said and never counted."""

from __future__ import annotations

from typing import Any

import pytest

from laneway.evidence.sample import Message, Sample, Scorer
from laneway.evidence.scorers import KINDS, Score, Unscored, score
from laneway.evidence.scorers.kind import Kind, Part


def _sample(
    *scorers: tuple[str, dict[str, Any]], expected: object = None, text: str = "?", language: str | None = None
) -> Sample:
    return Sample(
        id="a", messages=(Message("user", text),), expected=expected, sensitivity="internal", language=language,
        scorers=tuple(Scorer(name, options) for name, options in scorers),
    )  # fmt: skip


def _value(answer: str, name: str, options: dict[str, Any] | None = None, **rest: Any) -> float:
    scored = score(_sample((name, options or {}), **rest), answer)
    assert isinstance(scored, Score), scored
    return scored.value


@pytest.mark.parametrize(
    ("expected", "ignore", "answer", "value"),
    [
        ("Yes", (), " Yes\n", 1), ("Yes", (), "yes", 0), ("Yes", ("case",), "YES", 1), (["a", "b"], (), "b", 1),
        ("§ 4 (2)", ("space", "punctuation"), "§4 2.", 1), ("Malmö", (), "Malmo\u0308", 1), ("a", (), "", 0),
    ],
)  # fmt: skip
def test_exact(expected: object, ignore: tuple[str, ...], answer: str, value: float) -> None:
    """The whole trimmed answer must be one of the texts, but for what is ignored."""
    assert _value(answer, "exact", {"ignore": ignore}, expected=expected) == value


@pytest.mark.parametrize(
    ("answer", "language", "number"),
    [
        ("It is 42.", None, 42), ("First 3, then 12.5", "en", 12.5), ("Summan är 1 234,50 kr", "sv", 1234.5),
        ("1\u00a0234\u00a0567", "fi", 1234567), ("1.234.567,8", "da", 1234567.8), ("1,234,567.8", "en", 1234567.8),
        ("1,234", "en", 1234), ("1,234", "sv", 1.234), ("1.234", "de", 1234), ("1.234", "en", 1.234), ("0,125", "en", 0.125),
        ("0.125", "sv", 0.125), ("\u22127,5 grader", "no", -7.5), ("-3e2", None, -300), ("år 2024 100", "sv", 100),
        ("3, 4 and 5.", "en", 5), ("12%", None, 12), ("1'234.5", "de", 1234.5), ("x2", "en", None), ("none", "en", None),
    ],
)  # fmt: skip
def test_numeric(answer: str, language: str | None, number: float | None) -> None:
    """The last number is read as the sample's language writes numbers."""
    expected = 99999 if number is None else number
    assert _value(answer, "numeric", expected=expected, language=language) == float(number is not None)


@pytest.mark.parametrize(
    ("options", "answer", "value"),
    [
        ({"tolerance": 0.01}, "12.51", 1), ({"tolerance": 0.01}, "12.52", 0), ({"relative": 0.05}, "13.1", 1),
        ({"relative": 0.05}, "13.2", 0), ({}, "12.5", 1), ({}, "12.50000001", 0), ({}, "9" * 100_000, 0),
    ],
)  # fmt: skip
def test_numeric_within_a_tolerance(options: dict[str, Any], answer: str, value: float) -> None:
    """The distance is taken in decimals, so that 0.01 is 0.01."""
    assert _value(answer, "numeric", options, expected=12.5) == value


@pytest.mark.parametrize(
    ("options", "answer", "value"),
    [
        ({"pattern": "^b$", "flags": ("m",)}, "a\nb", 1), ({"pattern": "^b$"}, "a\nb", 0), ({"not": "sorry"}, "Fine.", 1),
        ({"not": "sorry", "flags": ("i",)}, "Sorry!", 0), ({"pattern": "a", "not": "b"}, "ab", 0),
    ],
)  # fmt: skip
def test_regex(options: dict[str, Any], answer: str, value: float) -> None:
    """`pattern` must occur somewhere and `not` nowhere."""
    assert _value(answer, "regex", options) == value


def test_a_pattern_that_runs_away_is_said() -> None:
    """A pattern of exponential cost ends after its limit, as an error of the sample and not as a grade."""
    scored = score(_sample(("regex", {"pattern": "(a|aa|a)+$"})), "a" * 5000 + "b")
    assert isinstance(scored, Unscored)
    assert "took longer than 2 s" in scored.error


@pytest.mark.parametrize(
    ("expected", "options", "answer", "value"),
    [
        ({"a": 1, "b": "x"}, {}, '{"a": 1.0, "b": "y"}', 0.5), ({"a": 1, "b": "x"}, {"fields": ("a",)}, '{"a": 1}', 1),
        ({"a": 1}, {}, 'Here:\n```json\n{"a": 1}\n```\n', 1), ({"a": 1}, {}, '{"a": true}', 0), ({"a": 1}, {}, "[1]", 0),
        ({"a": [1, {"b": None}]}, {}, '{"a": [1, {"b": null}]}', 1), ({"a": 1}, {}, '{"a": NaN}', 0),
        (None, {"schema": {"type": "array"}}, "[1]", 1), (None, {"schema": {"type": "array"}}, "{}", 0),
        ({"a": 1}, {"schema": {"required": ["b"]}}, '{"a": 1}', 0), ({"a": 1}, {}, "[" * 100_000, 0),
    ],
)  # fmt: skip
def test_json(expected: object, options: dict[str, Any], answer: str, value: float) -> None:
    """JSON that meets the schema gets the share of its fields that are equal."""
    assert _value(answer, "json", options, expected=expected) == value


@pytest.mark.parametrize(
    ("expected", "answer", "value", "precision", "recall"),
    [
        (["a", "b"], "a\nb", 1, 1, 1), (["a", "b"], "- A\n- c", 0.5, 0.5, 0.5), (["a", "b"], "b", 2 / 3, 1, 0.5),
        (["a"], "a, b, c", 0.5, 1 / 3, 1), ([], "none", 1, 1, 1), ([], "[]", 1, 1, 1), ([], "None.", 1, 1, 1),
        ([], "a", 0, 0, 0), (["a"], "none", 0, 0, 0), (["a"], "", 0, 0, 0), ([], "", 0, 0, 0),
        (["a", "b"], '```json\n["a", "b"]\n```', 1, 1, 1), (["a"], "1. `a`", 1, 1, 1),
    ],
)  # fmt: skip
def test_set(expected: list[str], answer: str, value: float, precision: float, recall: float) -> None:
    """F1 of the labels, with precision and recall beside it; none is a label set like any other, silence is not."""
    scored = score(_sample(("set", {}), expected=expected), answer)
    assert isinstance(scored, Score)
    figures = scored.by_scorer[0].figures
    assert (scored.value, figures["precision"], figures["recall"]) == pytest.approx((value, precision, recall))


SOURCE = "The Supplier shall pay\n  a fine of 5 per cent. It may end the contract."


@pytest.mark.parametrize(
    ("expected", "answer", "value"),
    [
        (None, 'It says "pay a fine of 5 per cent".', 1), (None, "It says \u201cpay a fine\u201d.", 1), (None, "A fine.", 0),
        (None, "\u201dpay a fine\u201d och \u00bbend the contract\u00ab", 1), (None, '"pay a fine" and "pay 10"', 0),
        (["a fine of 5", "end the"], 'Only "pay a fine of 5 per cent".', 0.5), (None, '{"quotes": ["pay a fine"]}', 1),
        (None, '"pay a fine"', 1), (None, '"pay nothing"', 0),
        (None, '{"quotes": []}', 0), (None, '{"quotes": "pay a fine"}', 0),
    ],
)  # fmt: skip
def test_quote(expected: object, answer: str, value: float) -> None:
    """Quotations must stand in the input, in whichever marks; one that is invented costs everything."""
    assert _value(answer, "quote", expected=expected, text=SOURCE) == value


def test_an_answer_of_many_open_fences_is_read_in_a_moment() -> None:
    """A long answer of fences that never close costs a moment, not its square."""
    assert _value("```python x\n" * 200_000, "set", expected=["a"]) == 0
    assert _value("````json\n```\n[1]\n````\n", "json", expected={"a": 1}) == 0


def test_the_least_of_the_scorers_counts() -> None:
    """A sample's score is its weakest scorer's, and each is explained."""
    scored = score(_sample(("set", {}), ("regex", {"not": "b"}), expected=["a"]), "a\nc")
    assert isinstance(scored, Score)
    assert scored.value == pytest.approx(2 / 3)
    assert scored.explanation == "set: 1 not expected; regex: the patterns are as wanted"


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_a_grade_that_is_none_is_said(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scorer that gives NaN, or a number out of range, grades nothing."""
    monkeypatch.setitem(KINDS, "odd", Kind({}, lambda _e, _o: None, lambda _s, _o, _a: Part("odd", value, "")))
    assert score(_sample(("odd", {})), "x") == Unscored(
        "odd", f"odd: the scorer gave {value}, which is not within 0..1"
    )


def test_a_scorer_that_crashes_is_said_without_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash names its kind; what it carries may be text of the answer and stays out."""

    def grade(_sample: Sample, _options: object, answer: str) -> Part:
        raise ZeroDivisionError(answer)

    monkeypatch.setitem(KINDS, "odd", Kind({}, lambda _e, _o: None, grade))
    assert score(_sample(("odd", {})), "secret") == Unscored("odd", "odd: the scorer failed with ZeroDivisionError")


def test_a_rubric_waits_for_its_judge() -> None:
    """A rubric is part of the format, and is no grade until a judge gives it."""
    scored = score(_sample(("rubric", {"asks": "Is it kind?"})), "x")
    assert isinstance(scored, Unscored)
    assert "a judge" in scored.error
