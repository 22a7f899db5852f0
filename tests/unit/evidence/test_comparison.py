"""comparison: what results say of lanes, against the bar and against each other; and its words, JSON and page."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from tests.evaluations import AT, LANES, result
from tests.unit.test_people import Strict, contrast

from laneway.evidence.charts import Point, least, scatter
from laneway.evidence.comparison import compared
from laneway.evidence.measured import Comparison, Figures, Measured, Pair, Subject, Terms
from laneway.evidence.report_page import report_page
from laneway.evidence.results import Result
from laneway.evidence.sample import Message, Sample, Scorer
from laneway.evidence.statistics.bounds import interval, lower, missing
from laneway.evidence.statistics.paired import compare, undecided
from laneway.evidence.telling import (
    Content,
    by_language,
    comparison_json,
    escalation,
    headline,
    money,
    pair_words,
    proof_words,
    share,
)

TERMS = Terms(bar=0.85, lanes=LANES)
DAY = datetime.date(2026, 11, 29)


def scores(lane: str, values: Sequence[float | None], **more: Any) -> list[Result]:
    """One result for each score, on samples named by their place."""
    return [result(lane, f"s{i:03}", value, **more) for i, value in enumerate(values)]


def ones(right: int, of: int) -> list[float]:
    """So many right answers, and the rest wrong."""
    return [1.0] * right + [0.0] * (of - right)


def only(made: Comparison) -> Measured:
    """The one workload."""
    (measured,) = made.workloads
    return measured


def figures(made: Comparison, lane: str, prompt: str = "") -> Figures:
    """One lane's."""
    return next(f for f in only(made).figures if f.subject == Subject(lane, prompt))


def pair(made: Comparison, first: str, second: str) -> Pair:
    """One pair of lanes."""
    return next(p for p in only(made).pairs if (p.first.lane, p.second.lane) == (first, second))


# figures


def test_a_lane_is_held_against_the_bar_by_its_lower_bound() -> None:
    """55 of 60 are 92 % and do not meet 0.85; 60 of 60 do; what is missing is said as `missing` counts it."""
    made = compared([*scores("home", ones(55, 60)), *scores("premium", ones(60, 60))], TERMS)
    home, premium = figures(made, "home"), figures(made, "premium")
    assert (home.whole.mean, home.whole.lower) == (55 / 60, lower(ones(55, 60)))
    assert home.whole[3:5] == interval(ones(55, 60))[1:3]
    assert (home.met, premium.met) == ("not met", "met")
    assert home.proof.missing == missing(ones(55, 60), 0.85)
    assert proof_words(home) == "the best bar this set can prove is 0.832 at 95%; 33 more samples would allow 0.85"
    assert only(made).prefer == Subject("premium")


def test_a_bar_that_is_met_is_followed_by_the_next() -> None:
    """Beyond the bar the next step of 0.05 is spoken of, and at the top 0.99, as nothing proves 1."""
    made = compared(scores("home", ones(60, 60)), TERMS)
    assert figures(made, "home").proof.wanted == 0.99
    assert figures(compared(scores("home", ones(190, 200)), TERMS), "home").proof.wanted == 0.95


def test_figures_by_language_group_and_set() -> None:
    """Each part has its own samples and its own bound, and stands in the order languages, groups, sets."""
    rows = [
        result("home", f"s{i}", float(i % 5 > 0), language=("en", "sv")[i % 2], group=("a", "b", "c")[i % 3],
               set=("one", "two")[i // 15])
        for i in range(30)
    ]  # fmt: skip
    parts = figures(compared(rows, TERMS), "home").parts
    assert [part.name for part in parts] == ["", "en", "sv", "/a", "/b", "/c", "#one", "#two"]
    assert [part.samples for part in parts] == [30, 15, 15, 10, 10, 10, 15, 15]
    assert parts[6].lower == lower([float(i % 5 > 0) for i in range(15)])


def test_what_has_no_score_counts_as_nothing_and_is_said() -> None:
    """As in the ledger, so that a lane whose answers cannot be scored meets no bar."""
    rows = scores("home", [*ones(50, 50), None, None])
    rows[-1] = msgspec.structs.replace(rows[-1], unscored="set: the scorer failed with ValueError")
    home = figures(compared(rows, TERMS), "home")
    assert home.whole.mean == 50 / 52
    assert home.unscored == {"set: the scorer failed with ValueError": 1, "no score": 1}
    assert "2 without a score, which count as 0" in proof_words(home)


def test_a_lane_with_open_samples_has_met_nothing_yet() -> None:
    """An outage leaves the run incomplete; a lane that refuses to answer has answered, with 0."""
    rows = scores("home", ones(100, 100))
    late = msgspec.structs.replace(rows[0], answer=None, error="late", score=None)
    assert figures(compared([late, *rows[1:]], TERMS), "home").met == "incomplete"
    refused = msgspec.structs.replace(late, error="refused")
    made = compared([refused, *rows[1:]], TERMS)
    assert (figures(made, "home").met, figures(made, "home").whole.mean) == ("met", 0.99)
    assert figures(made, "home").unanswered == {"refused": 1}


def test_the_newest_answer_counts_and_no_failure_takes_its_place() -> None:
    """Of two answers to a sample the newer; an error that came later leaves the answer standing."""
    old = result("home", "s", 0.0, key="old")
    new = msgspec.structs.replace(old, key="new", score=1.0, at=AT + datetime.timedelta(days=1))
    failed = msgspec.structs.replace(new, key="failed", answer=None, error="late", at=AT + datetime.timedelta(days=2))
    for rows in ([old, new, failed], [failed, new, old]):
        made = compared(rows, TERMS)
        assert (figures(made, "home").whole.mean, made.repeated, figures(made, "home").met) == (1.0, 2, "not met")


def test_an_answer_that_stands_under_two_versions_of_a_set_counts_once() -> None:
    """A set that grew keeps its answers, and each of them is one answer, not an older one."""
    old = scores("home", ones(3, 4))
    grown = [msgspec.structs.replace(row, set_hash="grown") for row in old]
    made = compared([*old, *grown], TERMS)
    assert (figures(made, "home").asked, made.repeated, made.results) == (4, 0, 8)


def test_what_is_no_longer_there_is_left_out() -> None:
    """Another model, another address, a lane or a sample that is gone: none of them counts, and each is counted."""
    rows = scores("home", ones(4, 5))
    rows[0] = msgspec.structs.replace(rows[0], model="before")
    rows[1] = msgspec.structs.replace(rows[1], endpoint="http://127.0.0.1:9/v1")
    rows[2] = msgspec.structs.replace(rows[2], lane="gone")
    made = compared(rows, replace(TERMS, samples={"clauses": frozenset({"hash of s003"})}))
    assert (made.results, made.stale, figures(made, "home").asked, figures(made, "home").of) == (5, 4, 1, 1)


def test_samples_that_were_not_asked_are_said() -> None:
    """A lane that was asked less than there is says so."""
    known = frozenset(f"hash of s{i:03}" for i in range(60))
    made = compared(scores("home", ones(20, 20)), replace(TERMS, samples={"clauses": known}))
    assert proof_words(figures(made, "home")).endswith("; 40 of 60 not asked")


def test_money_and_time_of_an_answer() -> None:
    """The sum, a share of it, the median and 95 in 100; an unknown price makes the sum unknown."""
    rows = [result("premium", f"s{i:03}", 1.0, cost=0.01, seconds=float(i)) for i in range(1, 101)]
    found = figures(compared(rows, TERMS), "premium")
    assert found.cost == pytest.approx(1.0)
    assert found.cost_each == pytest.approx(0.01)
    assert (found.seconds, found.tokens) == ((50.5, 95.0), (12_000, 400))
    rows[3] = msgspec.structs.replace(rows[3], cost=None)
    assert figures(compared(rows, TERMS), "premium").cost is None


# which lane


def test_the_cheapest_lane_that_meets_the_bar_is_preferred() -> None:
    """Not the best one, and not the cheapest of all."""
    rows = [*scores("home", ones(40, 60)), *scores("shared", ones(59, 60)), *scores("premium", ones(60, 60))]
    made = compared(rows, TERMS)
    assert only(made).prefer == Subject("shared")
    assert (
        headline(only(made), TERMS, "EUR")
        == "shared is the cheapest of 2 that meet the bar, at 0.0000384 EUR an answer."
    )


def test_an_unknown_price_is_dearer_than_any() -> None:
    """A lane without a price is preferred only where no other meets the bar."""
    rows = [*scores("home", ones(60, 60), cost=None), *scores("premium", ones(60, 60))]
    assert only(compared(rows, TERMS)).prefer == Subject("premium")
    alone = compared(rows[:60], TERMS)
    assert headline(only(alone), TERMS, "EUR") == "home meets the bar; its price is unknown."


def test_no_lane_is_preferred_where_none_meets_the_bar_or_there_is_none() -> None:
    """It is said which of the two it is."""
    made = compared(scores("home", ones(5, 10)), TERMS)
    assert only(made).prefer is None
    assert headline(only(made), TERMS, "EUR") == "No lane is shown to meet the bar of 0.85 at 95%."
    bare = replace(TERMS, bar=None)
    made = compared(scores("home", ones(60, 60)), bare)
    assert (only(made).prefer, figures(made, "home").met) == (None, "no bar")
    assert "has no bar" in headline(only(made), bare, "EUR")


def test_each_language_has_a_lane_of_its_own() -> None:
    """A cheap lane that is good in one language only is preferred in that one."""
    rows = [
        result(lane, f"{language}{i}", float(lane == "premium" or language == "en" or i % 3 > 0), language=language)
        for lane in ("home", "premium") for language in ("en", "sv") for i in range(40)
    ]  # fmt: skip
    made = compared(rows, TERMS)
    assert only(made).prefer_in == {"en": Subject("home"), "sv": Subject("premium")}
    assert by_language(only(made), TERMS) == ["In en: home.", "In sv: premium."]
    few = compared(rows[:60], TERMS)  # of Swedish too few of home, and none of premium: good in one of the two
    assert by_language(only(few), TERMS) == ["In en: home.", "In sv: no lane."]
    assert 'class="verdict part"' in page(few)


def test_a_prompt_that_is_not_in_force_is_told_but_not_preferred() -> None:
    """Two prompts of one lane are two subjects; the routes use the one in force."""
    terms = replace(TERMS, prompts={("clauses", "clause-types"): "aaaa"})
    rows = [
        *scores("home", ones(40, 60), prompt="aaaa"),
        *scores("home", ones(60, 60), prompt="bbbb" * 16),
        *scores("home", ones(50, 60), prompt=""),
        *scores("premium", ones(60, 60), prompt="aaaa"),
    ]
    made = compared(rows, terms)
    assert [f.subject for f in only(made).figures] == [
        ("home", ""),
        ("home", "bbbb" * 16),
        ("home", "none"),
        ("premium", ""),
    ]
    assert only(made).prefer == Subject("premium")
    assert headline(only(made), terms, "EUR").endswith(
        "home, prompt bbbbbbbb, which is not in force, meets it at 0 EUR."
    )
    assert pair(made, "home", "home").found is not None
    assert len([p for p in only(made).pairs if p.escalation]) == 1


# pairs


def test_a_pair_is_compared_on_the_samples_that_both_have_a_score_for() -> None:
    """What only one was asked, or what has no score, is not in it."""
    rows = [*scores("home", ones(30, 60)), *scores("premium", [*ones(58, 58), None])]
    found = pair(compared(rows, TERMS), "home", "premium")
    assert (found.common, found.found) == (58, compare(ones(30, 58), ones(58, 58)))


def test_lanes_without_a_common_sample_are_not_compared() -> None:
    """It is said that nothing is known."""
    rows = [*scores("home", ones(5, 5)), *[result("premium", f"other{i}", 1.0) for i in range(5)]]
    found = pair(compared(rows, TERMS), "home", "premium")
    assert (found.common, found.found) == (0, None)
    assert pair_words(found) == "no samples that both have a score for"
    assert "nothing is known" in escalation(found, "EUR")


def test_an_escalation_that_brings_nothing_says_so() -> None:
    """Two hundred ties are shown to be equal; twenty are not."""
    many = pair(
        compared([*scores("home", ones(190, 200)), *scores("premium", ones(190, 200))], TERMS), "home", "premium"
    )
    assert escalation(many, "EUR").startswith("Escalating home -> premium brings nothing: equal within 0.05")
    few = pair(compared([*scores("home", ones(19, 20)), *scores("premium", ones(19, 20))], TERMS), "home", "premium")
    assert few.found is not None
    assert (few.found.verdict, few.more) == ("open", 52)
    assert "about 52 more samples would decide it" in pair_words(few)
    assert "is not shown to bring anything" in escalation(few, "EUR")


def test_a_better_answer_has_a_price() -> None:
    """Ten of 60 answers become right: all 60 calls are paid for them, or only the ten where the first fell short."""
    rows = [*scores("home", ones(50, 60)), *scores("premium", ones(60, 60), cost=0.02)]
    found = pair(compared(rows, TERMS), "home", "premium")
    assert found.price_all == pytest.approx(60 * 0.02 / 10)
    assert found.price_weak == pytest.approx(0.02)
    assert escalation(found, "EUR").endswith(
        "Each full score gained costs 0.12 EUR if every sample is asked again, 0.02 EUR if only answers short of 1 are."
    )


def test_an_escalation_to_a_worse_lane_is_called_one() -> None:
    """Stronger by the policy is not stronger by the evidence."""
    rows = [*scores("home", ones(60, 60)), *scores("premium", ones(40, 60))]
    found = pair(compared(rows, TERMS), "home", "premium")
    assert "makes answers worse by 0.33" in escalation(found, "EUR")
    assert found.price_all is None


def test_as_many_samples_as_are_said_to_decide_do_decide() -> None:
    """The estimate is about right: the same results, so many times more, are no longer open."""
    first, second = ones(42, 60), [*ones(45, 57), 0.0, 0.0, 1.0]
    more = undecided(first, second)
    assert compare(first, second).verdict == "open"
    assert more is not None
    times = -(-(60 + more) // 60)
    assert compare(first * times, second * times).verdict != "open"
    assert undecided([0.0, 1.0] * 10, [0.05, 1.0] * 10, margin=0.025) is not None


def test_the_stronger_lane_is_the_second_of_a_pair() -> None:
    """By the policy's strength, however the results come."""
    rows = [*scores("premium", ones(5, 5)), *scores("home", ones(5, 5)), *scores("shared", ones(5, 5))]
    pairs = only(compared(rows, TERMS)).pairs
    assert [(p.first.lane, p.second.lane) for p in pairs] == [
        ("home", "shared"),
        ("home", "premium"),
        ("shared", "premium"),
    ]


# samples


def test_samples_where_lanes_differ_most_and_where_none_is_good() -> None:
    """The widest differences first; where all fall short, the lowest first; no more than asked for."""
    home, premium = [1.0, 0.0, 0.5, 0.2, 1.0], [1.0, 1.0, 0.6, 0.2, 0.4]
    made = only(compared([*scores("home", [*home]), *scores("premium", [*premium])], TERMS, most=2))
    assert [one.sample for one in made.disagreements] == ["s001", "s004"]
    assert (made.disagreeing, [one.sample for one in made.worst], made.short) == (3, ["s003", "s002"], 2)


# words


def test_a_lower_bound_is_never_rounded_up() -> None:
    """0.84999 does not read as 0.85."""
    assert (share(0.84999, down=True), share(0.85, down=True), share(0.57, down=True)) == ("0.849", "0.850", "0.570")
    assert (money(0.0000012345, "EUR"), money(None, "EUR"), money(1234.5, "EUR")) == (
        "0.00000123 EUR",
        "unknown",
        "1230 EUR",
    )


def test_what_a_lane_calls_itself_cannot_move_the_terminal() -> None:
    """A reported name is cut and stripped of what does not print."""
    rows = scores("home", ones(3, 3), reported="\x1b[2Jgood\u202e" + "x" * 100)
    said = proof_words(figures(compared(rows, TERMS), "home"))
    assert "answers as ?[2Jgood?" in said
    assert said.isprintable()


# JSON and the page

QUESTION, EXPECTED = "What is clause 4 about? <b>&amp;", "people"
EVIL = "<script>alert(1)</script></pre><img src=x onerror=alert(2)> **bold** [a](http://evil.example) \u202etxt\x1b[2J\ud800"


def told() -> tuple[Comparison, Content]:
    """Three lanes on two languages, with an evil answer where they differ."""
    rows = [
        result(lane, f"s{i:03}", None if i == 7 and lane == "shared" else float(i % k > 0), language=("en", "sv")[i % 2],
               answer=EVIL, reported="</td><script>", parts=(("exact", 0.0, "<i>no</i>"),))
        for lane, k in (("home", 3), ("shared", 7), ("premium", 41)) for i in range(60)
    ]  # fmt: skip
    message = Message("user", QUESTION)
    sample = Sample(id="s", messages=(message,), expected=EXPECTED, scorers=(Scorer("exact"),), sensitivity="internal")
    content = Content({row.sample_hash: sample for row in rows}, {row.key: EVIL for row in rows})
    return compared(rows, TERMS), content


def page(made: Comparison, content: Content | None = None, name: str = "Fjord Legal") -> str:
    """The page on the tests' day."""
    return report_page(made, name=name, currency="EUR", day=DAY, content=content)


def test_the_page_nests_and_asks_for_nothing_from_elsewhere() -> None:
    """Well formed, one h1, unique ids that every link finds, no script, no address but its own headings."""
    source = page(*told())
    read = Strict(source)
    assert len(read.of("h1")) == 1
    assert len(read.ids) == len(set(read.ids))
    assert {str(a["href"])[1:] for a in read.of("a")} <= set(read.ids)
    assert not read.of("script", "link", "img", "iframe", "object", "form")
    assert not [attrs for _, attrs in read.tags if "src" in attrs or any(key.startswith("on") for key in attrs)]
    assert "url(" not in source
    assert "@import" not in source
    assert {
        "http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'",
    } in read.of("meta")  # fmt: skip


def test_nothing_that_a_model_a_set_or_a_policy_says_is_markup() -> None:
    """The same tags, whatever stands in answers, reasons, names and reports; what does not show is spelled out."""
    made, content = told()
    evil = Strict(page(made, content, name="</title><script>x</script>"))
    plain = Strict(page(made, Content(content.samples, dict.fromkeys(content.answers, "fine")), name="Fjord"))
    assert [tag for tag, _ in evil.tags] == [tag for tag, _ in plain.tags]
    source = page(made, content)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/pre&gt;" in source
    assert r"\u202etxt\u001b[2J\ud800" in source
    assert source.encode("utf-8")


def test_without_content_no_question_and_no_answer_leaves() -> None:
    """Neither the page nor the JSON holds a text, an expected answer or a reason; with content both do."""
    made, content = told()
    bare = page(made) + msgspec.json.encode(comparison_json(made, "EUR", None)).decode()
    full = page(made, content)
    for text in ("clause 4", "alert(1)", "no&lt;/i&gt;", "<i>no"):
        assert text not in bare
    assert "clause 4" in full
    assert "alert(1)" in full
    content = Content(content.samples, dict.fromkeys(content.answers, "places"))
    found = comparison_json(made, "EUR", content)["workloads"][0]["disagreements"][0]
    assert (found["question"], found["expected"], found["answers"][0]["answer"]) == (QUESTION, EXPECTED, "places")


def test_the_keys_of_the_json_are_stable() -> None:
    """A script may rely on them."""
    made = json.loads(msgspec.json.encode(comparison_json(told()[0], "EUR", None)))
    (workload,) = made["workloads"]
    assert sorted(made) == ["bar", "confidence", "currency", "margin", "repeated", "results", "stale", "workloads"]
    assert sorted(workload) == [
        "disagreeing",
        "disagreements",
        "lanes",
        "pairs",
        "prefer",
        "prefer_in",
        "short",
        "since",
        "workload",
        "worst",
    ]
    assert sorted(workload["lanes"][0]) == [
        "asked", "best_bar", "cost", "cost_each", "lane", "met", "missing", "models", "of", "parts", "prompt", "reported",
        "seconds", "tokens", "unanswered", "unscored", "wanted",
    ]  # fmt: skip
    assert sorted(workload["pairs"][0]) == [
        "common", "confidence", "difference", "escalation", "first", "high", "losses", "low", "margin", "more", "p",
        "price_all", "price_weak", "second", "ties", "verdict", "wins",
    ]  # fmt: skip
    assert sorted(workload["worst"][0]["answers"][0] if workload["worst"] else ["error", "lane", "prompt", "score"]) == [
        "error", "lane", "prompt", "score",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rows", [[], scores("home", ones(3, 4)), scores("home", [None])], ids=["none", "one lane", "no score"]
)
def test_little_makes_a_page_too(rows: list[Result]) -> None:
    """No results, one lane alone, and one sample without a score are told, and nothing is made up."""
    made = compared(rows, TERMS)
    read = Strict(page(made, Content({}, {})))
    assert len(read.of("h1")) == 1
    assert bool(rows) == bool(read.of("table"))
    assert comparison_json(made, "EUR", Content({}, {}))["results"] == len(rows)


def test_a_long_answer_is_cut_and_says_so() -> None:
    """Two thousand characters are shown; how many more there are is said."""
    made, content = told()
    source = page(made, Content(content.samples, dict.fromkeys(content.answers, "y" * 5000)))
    assert "3,000 more characters are not shown" in source
    assert "y" * 2001 not in source


def test_colours_of_charts_can_be_told_from_the_paper() -> None:
    """Marks have at least 3 : 1 against the paper, in light and in dark."""
    css = page(told()[0]).partition("<style>")[2].partition("</style>")[0]
    for part in css.split("@media screen and (prefers")[:2]:
        theme = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", part))
        assert min(contrast(theme[key], theme["paper"]) for key in ("next", "good", "bad", "warn")) >= 3


def test_a_scale_begins_below_what_is_on_it() -> None:
    """At a whole tenth, and never above 0.9."""
    assert [least(values) for values in ([0.83, 0.9], [0.8], [0.97], [0.0], [])] == [0.8, 0.7, 0.9, 0.0, 0.0]


@pytest.mark.parametrize(
    ("costs", "ticks"),
    [
        ([0.0, 0.0004], ["0", "0.0001", "0.0002", "0.0003", "0.0004", "0.0005"]),
        ([0.001, 0.1], ["0.001", "0.01", "0.1"]),
        ([0.0, 0.001, 0.1], ["0", "0.001", "0.01", "0.1"]),
        ([0.0], ["0"]),
        ([3.0, 7.5], ["0", "2", "4", "6", "8", "10"]),
        ([0.5, 0.95], ["0", "0.5", "1", "1.5"]),
        ([0.0, 0.00003], ["0", "0.00001", "0.00002", "0.00003", "0.00004"]),
        ([0.00002, 0.0009], ["0.00001", "0.0001", "0.001"]),
    ],
)
def test_costs_are_drawn_on_a_scale_that_fits_them(costs: list[float], ticks: list[str]) -> None:
    """From 0 where they are near to each other, by powers of ten where they are not; no mark leaves the drawing."""
    drawn = scatter(
        "Cost", [Point(f"lane{i}", cost, 0.9, 0.8, 0.95, True) for i, cost in enumerate(costs)], 0.85, "EUR"
    )
    assert re.findall(r'text-anchor="middle">([^<]+)<', drawn) == ticks
    assert all(0 <= float(x) <= 100 for x in re.findall(r'cx="([\d.e-]+)%"', drawn))
