"""Cases: read as strictly as the policy, compared key by key, and counted against the policy's rules."""
# policies and tables keep one rule and one case a line

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policies import FULL, TODAY, changed, full

from laneway.decide import decide
from laneway.decision import Decision, Hold
from laneway.errors import PolicyError
from laneway.facts import Facts
from laneway.policy_cases import ENDS, Case, Coverage, Seen, coverage, parse, unmet
from laneway.policy_file import parse as parse_policy
from laneway.signals import Ask, Signals
from laneway.yaml_nodes import Reading, compose, json_value

EXPECT = "expect: {decision: route}"


def case(text: str) -> Case:
    """The one case with these keys, its sentence added."""
    (made,) = parse(f"cases:\n  - {{says: So it is., {text}}}\n", full(), "c.yaml").cases
    return made


def problems(text: str) -> list[str]:
    """What is wrong with a file of cases."""
    with pytest.raises(PolicyError) as caught:
        parse(text, full(), "c.yaml")
    return [str(problem) for problem in caught.value.problems]


def problem(text: str) -> str:
    """The one thing that is wrong with a case of these keys, without its place."""
    (told,) = problems(f"cases:\n  - {{says: So it is., {text}}}\n")
    return told.split(": ", 1)[1]


def decided(**signals: Any) -> Decision:
    """What the full policy decides."""
    return decide(full(), Ask(), Signals(**{"sensitivity": "internal"} | signals), Facts(today=TODAY))


def test_facts_become_what_a_client_would_send() -> None:
    """What a client states becomes labels, numbers written out; what only a text shows is stated in its place."""
    made = case("given: {sensitivity: restricted, ceiling: 0.000001, team: t, region: SE, workload: chat, stakes: high, latency: batch, "
                "difficulty: hard, tokens: 9, needs: tools, facts: {matter: merger, pages: 12.50}, model: lane/home}, " + EXPECT)  # fmt: skip
    assert made.headers == {
        "laneway-sensitivity": "restricted", "laneway-ceiling": "0.000001", "laneway-team": "t", "laneway-region": "SE",
        "laneway-workload": "chat", "laneway-stakes": "high", "laneway-latency": "batch", "laneway-fact-matter": "merger",
        "laneway-fact-pages": "12.5",
    }  # fmt: skip
    assert made.stated == {"difficulty": "hard", "tokens": 9, "needs": ("tools",)}
    assert json.loads(made.body) == {"model": "lane/home", "messages": []}
    assert made.bare


def test_a_whole_request_becomes_its_body_and_headers() -> None:
    """A client's body is the JSON that its YAML stands for, and header names have no case."""
    made = case(
        "request: {model: auto, n: 1, stream: true, messages: [{role: user, content: 'true'}]}, headers: {Laneway-Team: no}, "
        + EXPECT
    )
    assert json.loads(made.body) == {
        "model": "auto",
        "n": 1,
        "stream": True,
        "messages": [{"role": "user", "content": "true"}],
    }
    assert made.headers == {"laneway-team": "no"}
    assert not made.bare
    assert made.stated == {}


def test_a_case_has_a_name_a_line_and_a_day() -> None:
    """A case without an id is named by its place; its line and the day of the file are kept."""
    text = f"today: 2026-11-24\ncases:\n  - {{says: One., given: {{}}, {EXPECT}}}\n  - id: second\n    says: Two.\n    given: {{}}\n    {EXPECT}\n"
    suite = parse(text, full())
    assert [(c.id, c.says, c.line) for c in suite.cases] == [("cases[0]", "One.", 3), ("second", "Two.", 4)]
    assert suite.today == TODAY
    assert parse("cases: []", full()).today is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("given: {}, dwn: [home], " + EXPECT, "unknown key `dwn` in this case; did you mean `down`?"),
        ("given: {sensitivty: public}, " + EXPECT, "unknown key `sensitivty` in `given`; did you mean `sensitivity`?"),
        ("given: {sensitivity: publik}, " + EXPECT, "unknown class `publik`; did you mean `public`?"),
        ("given: {workload: chats}, " + EXPECT, "unknown workload `chats`; did you mean `chat`?"),
        ("given: {model: lane/hom}, " + EXPECT, "unknown model `lane/hom`; did you mean `lane/home`?"),
        ("given: {ceiling: much}, " + EXPECT, "expected a plain number such as 12 or 0.40, not `much`"),
        ("given: {tokens: 1.5}, " + EXPECT, "expected a whole number, not `1.5`"),
        ("given: {needs: [sight]}, " + EXPECT, "unknown need `sight`; known here: tools, vision, audio, pdf, json, context"),
        ("given: {region: Sweden}, " + EXPECT, "`Sweden` is no country; write two capital letters such as SE"),
        ("given: {facts: {mater: merger}}, " + EXPECT, "unknown key `mater` in `facts`; did you mean `matter`?"),
        ("given: {facts: {matter: mergers}}, " + EXPECT, "unknown matter `mergers`; did you mean `merger`?"),
        ("given: {facts: {pages: 5001}}, " + EXPECT, "`pages` runs from 0 to 5000, so it is never 5001"),
        ("given: public, " + EXPECT, "`given` must be a mapping of `key: value`"),
        ("given: {}, down: [hom], " + EXPECT, "unknown lane `hom`; did you mean `home`?"),
        ("given: {}, answers: {hom: ok}, expect: {end: answered}", "unknown key `hom` in `answers`; did you mean `home`?"),
        ("given: {}, answers: {home: weird}, expect: {end: answered}", "unknown answer `weird`; known here: ok, weak, doubtful, fail, refusal"),
        ("given: {}, answers: {home: weak}, " + EXPECT, "`answers` matter to `called` and `end` alone; expect one of them"),
        ("given: {}, expect: {}", "`expect` needs at least one of decision, lanes, called, end, rejected, reasons, signals"),
        ("given: {}, expect: {decision: routes}", "unknown decision `routes`; did you mean `route`?"),
        ("given: {}, expect: {lanes: [homes]}", "unknown lane `homes`; did you mean `home`?"),
        ("given: {}, expect: {end: anwered}", "unknown end `anwered`; did you mean `answered`?"),
        ("given: {}, expect: {rejected: {hom: secrets}}", "unknown key `hom` in `rejected`; did you mean `home`?"),
        ("given: {}, expect: {signals: {model: auto}}", "unknown key `model` in `signals`; known here: sensitivity, difficulty, stakes, latency, ceiling, tokens, needs, workload, team, region, language, facts"),
        ("given: {}, request: {}, " + EXPECT, "a case needs either `given`, the facts of a request, or `request`, a client's body"),
        (EXPECT, "a case needs either `given`, the facts of a request, or `request`, a client's body"),
        ("given: {}, headers: {laneway-team: t}, " + EXPECT, "`headers` go with `request`; say it under `given`"),
        ("request: {}, headers: {laneway-team: t, Laneway-Team: t}, " + EXPECT, "header `Laneway-Team` stands there twice"),
        ("given: {}, given: {}, " + EXPECT, "duplicate key `given` in this case"),
        ("request: {model: auto, model: auto}, " + EXPECT, "duplicate key `model` in this object"),
        ("given: {}", "a case needs `expect`"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_case_is_told(text: str, told: str) -> None:
    """Unknown keys, names and words, wrong types and what contradicts itself are errors with a hint."""
    assert problem(text) == told


def test_every_problem_is_told_with_its_place() -> None:
    """Problems are told all at once, by file, line and column."""
    text = "today: tomorrow\ncases:\n  - says: One.\n    given: {team: &a x}\n    expect: {}\n"
    assert problems(text) == ["c.yaml:4:19: anchors and aliases are not allowed; write the value out"]
    told = problems(text.replace("&a ", "").replace("cases:", "case: []\ncases:"))
    assert [line.partition(": ")[0] for line in told] == ["c.yaml:1:8", "c.yaml:2:1", "c.yaml:6:13"]


def test_an_id_stands_for_one_case() -> None:
    """A second case of one id is an error that names the line of the first."""
    one = f"  - {{id: a, says: One., given: {{}}, {EXPECT}}}\n"
    assert problems(f"cases:\n{one}{one}") == ["c.yaml:3:5: a second case `a`; the first is at line 2"]


def test_a_rule_in_brackets_needs_quotes_and_the_error_says_so() -> None:
    """`[wall[0]]` is no YAML, and whoever writes it is told what to do."""
    (told,) = problems("cases:\n  - {says: One., given: {}, expect: {reasons: [wall[0]]}}\n")
    assert told.endswith('within brackets a rule\'s name needs quotes: "wall[0]"')


def test_a_weak_answer_needs_a_check() -> None:
    """Where the gate checks nothing no answer is weak, so a case cannot say so."""
    checked = "checks: [empty, cut-off, invalid-json, tool-call, refusal, contract]\n  judge: [safest, strongest]"
    (output,) = re.findall(r", output: .*?4000}", FULL)
    policy = parse_policy(changed(checked, "checks: []", changed(output, "")))
    with pytest.raises(PolicyError, match="no answer is weak, as the policy's gate has no `checks`"):
        parse("cases:\n  - {says: One., given: {}, answers: {home: weak}, expect: {end: marked}}\n", policy)
    with pytest.raises(PolicyError, match="no answer is doubtful, as the policy's gate names no `judge`"):
        parse("cases:\n  - {says: One., given: {}, answers: {home: doubtful}, expect: {end: marked}}\n", policy)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(10**14), 10**14) | st.text("ab c0:#'\"\\", max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)))  # fmt: skip
def test_json_written_as_yaml_means_the_same(value: Any) -> None:
    """Any JSON is YAML, and is read as the value that it is in JSON."""
    assert json_value(compose(json.dumps(value), "f"), Reading("f")) == value


@pytest.mark.parametrize(
    ("source", "value"),
    [("no", "no"), ("12:30", "12:30"), ("1e3", "1e3"), ("007", "007"), ("-1.50", -1.5), ("'1'", "1"), ("null", None)],
)
def test_plain_words_stay_text(source: str, value: object) -> None:
    """Only what is a literal in JSON is one here; YAML's own surprises do not happen."""
    assert json_value(compose(source, "f"), Reading("f")) == value


def test_reasons_are_a_subsequence() -> None:
    """Rules must be cited in the order in which they are expected; others may stand between them."""
    seen = Seen(decision=decided())
    assert unmet(case('given: {}, expect: {reasons: ["routes[2]", gate, "wall[2]"]}'), seen) == ()
    (wrong,) = unmet(case('given: {}, expect: {reasons: [gate, "routes[2]"]}'), seen)
    assert wrong.key == "reasons"


def test_an_end_may_be_said_roughly_or_exactly() -> None:
    """`held` and `held-weak` are both true of an answer that was weak and is held."""
    seen = Seen(end="held", code="held-weak")
    for end in ENDS:
        assert (unmet(case(f"given: {{}}, expect: {{end: {end}}}"), seen) == ()) == (end in ("held", "held-weak"))


def test_without_a_decision_nothing_is_met() -> None:
    """A request that could not be used meets no expectation of a decision, and none fails in another way."""
    made = case(
        "given: {}, expect: {decision: route, lanes: [home], rejected: {premium: secrets}, reasons: [gate], signals: {sensitivity: internal}}"
    )
    assert [wrong.key for wrong in unmet(made, Seen(error="no"))] == [
        "decision",
        "lanes",
        "rejected",
        "reasons",
        "signals",
    ]


def test_coverage_counts_every_kind_of_rule() -> None:
    """Grants, limits, routes, fallbacks, reviews, the gate and waivers count; a review that frees and a to-do do not."""
    none = coverage(full(), ())
    assert [rule.id for rule in none.uncovered] == [
        "secrets", "wall[1]", "wall[2]", "wall[3]", "hard-first", "routes[1]", "routes[2]", "gate", "gate.waiver[0]",
        "gate.waiver[1]", "fallbacks[0]", "fallbacks[1]", "fallbacks[2]", "reviews[0]",
    ]  # fmt: skip
    assert (none.rules, none.covered, none.percent) == (14, 0, 0.0)
    held = decided(workload="contract-review", declared={"matter": "none"})
    assert isinstance(held, Hold)
    some = coverage(full(), [decided(declared={"matter": "merger"}), held])
    assert [rule.id for rule in some.uncovered] == [
        "secrets", "wall[1]", "hard-first", "routes[1]", "gate.waiver[1]", "fallbacks[0]", "fallbacks[1]",
    ]  # fmt: skip


def test_a_policy_without_rules_is_covered() -> None:
    """Where there is nothing to cite all of it is covered, and nothing is divided by zero."""
    assert Coverage(0, ()).percent == 100.0
