"""`laneway test` as a policy's owner uses it: green suites, each kind of failure, and what is not covered."""
# policies and tables keep one rule and one case a line

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from laneway.cli import main
from laneway.cli.output import out

POLICY = """\
laneway: 1
name: Fjord
currency: EUR
sensitivity: [public, internal, restricted]
unlabelled: {sensitivity: internal}
lanes:
  home: {kind: local, provider: openai, url: "http://127.0.0.1:9/v1", model: m, price: 0, supports: [json, tools]}
  away: {kind: premium, provider: openai, url: "https://away.example/v1", model: n, key: env:AWAY_KEY, price: {input: 3, output: 15}}
strength: [home, away]
zones:
  ours: {kind: local}
  any: {kind: [local, premium]}
wall:
  - {sensitivity: restricted, zones: [ours], says: What is restricted stays on our machines.}
  - {sensitivity: [public, internal], zones: [any], says: The rest may go anywhere.}
  - {id: merger, when: {matter: merger}, zones: [ours], says: The merger stays in the house.}
facts:
  matter: {values: [merger, none]}
  pages: {from: 0, to: 100}
workloads:
  contracts: {sensitivity: restricted, stakes: high}
  risks: {sensitivity: internal}
routes:
  - {says: Hard work starts at the strongest., when: {difficulty: hard}, try: strongest}
  - {says: All else starts at the cheapest., try: cheapest}
gate:
  says: A weak answer is redone once.
  checks: [CHECKS]
  waiver: {lanes: [home, away], until: 2026-12-01, by: The head of platform}
  weak: [strongest, WEAK]
fallbacks:
  - {says: High stakes wait for a person., when: {stakes: high}, then: hold}
  - {says: The next one takes over., then: [next, refuse]}
reviews:
  - {says: A lawyer reads every risk flag., when: {workload: risks}}
"""

GREEN = """\
today: 2026-11-24
cases:
  - id: restricted-home
    says: Restricted work stays at home.
    given: {sensitivity: restricted, difficulty: hard, stakes: high, latency: batch, ceiling: 0.4, workload: contracts, team: t, region: SE, tokens: 500, needs: [tools], facts: {matter: none, pages: 12.5}, model: auto}
    expect:
      decision: route
      lanes: [home]
      rejected: {away: "wall[0]"}
      reasons: ["routes[0]", "fallbacks[0]", "wall[0]"]
      signals: {sensitivity: restricted, difficulty: hard, stakes: high, latency: batch, ceiling: 0.4, workload: contracts, team: t, region: SE, tokens: 500, needs: [tools], facts: {matter: none, pages: 12.5}}
  - {says: Other work may go anywhere., given: {facts: {matter: none}}, expect: {lanes: [home, away], reasons: ["routes[1]", "fallbacks[1]", gate, "wall[1]", gate.waiver]}}
  - {says: The merger stays in the house., given: {facts: {matter: merger}}, expect: {lanes: [home], rejected: {away: merger}}}
  - {says: Risk flags wait for a lawyer., given: {workload: risks}, expect: {decision: hold, lanes: [], called: [], end: held, reasons: ["reviews[0]"]}}
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file; it holds until 2026-12-01."""
    path = tmp_path / "laneway.yaml"
    path.write_text(POLICY.replace("CHECKS", "empty, invalid-json").replace("WEAK", "marked"), "utf-8")
    return path


def suite(policy: Path, text: str, *arguments: str, code: int = 0) -> Result:
    """Write `text` beside the policy and run it."""
    policy.with_name("cases.yaml").write_text(text, "utf-8")
    result = CliRunner().invoke(main, ["test", str(policy), *arguments])
    told = f"{result.output}\n{result.exception!r}"
    assert result.exception is None or isinstance(result.exception, SystemExit), told
    assert result.exit_code == code, told
    return result


def one(policy: Path, case: str, *, code: int = 0) -> Any:
    """Run one case on 2026-11-24 and give it as JSON."""
    text = f"today: 2026-11-24\ncases:\n  - {{says: It is so., {case}}}\n"
    made = json.loads(suite(policy, text, "--json", code=code).stdout)
    return made["cases"][0]


def test_a_green_suite_passes_and_covers_every_rule(policy: Path) -> None:
    """Cases that hold end with 0 and one line, and rules that their decisions cite are covered."""
    result = suite(policy, GREEN, "--min-coverage", "100")
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    assert line.startswith("4 cases passed. 10 of 10 rules covered (100 %), in ")


def test_the_file_of_cases_may_be_anywhere(policy: Path, tmp_path: Path) -> None:
    """`--cases` names another file than the one beside the policy."""
    (tmp_path / "more.yaml").write_text(GREEN, "utf-8")
    result = CliRunner().invoke(main, ["test", str(policy), "--cases", str(tmp_path / "more.yaml")])
    assert result.exit_code == 0, result.output


def test_no_file_of_cases_is_told_with_its_remedy(policy: Path) -> None:
    """Where there are no cases the exit code is 5, and the message names the file and what to do."""
    result = CliRunner().invoke(main, ["test", str(policy)])
    assert result.exit_code == 5
    assert f"{policy.with_name('cases.yaml')}: cannot be read" in result.stderr
    assert "--cases" in result.stderr


@pytest.mark.parametrize(
    ("given", "key", "expected", "actual"),
    [
        ("{facts: {matter: none}}", "decision", "refuse", "route"),
        ("{facts: {matter: none}}", "lanes", ["away", "home"], ["home", "away"]),
        ("{facts: {matter: none}}", "called", ["home", "away"], ["home"]),
        ("{facts: {matter: none}}", "end", "held", "answered"),
        ("{workload: risks}", "end", "answered", "held (approval-required)"),
        ("{workload: risks}", "called", ["home"], []),
        ("{sensitivity: restricted}", "rejected", {"away": "wall[1]"}, {"away": "wall[0]"}),
        ("{facts: {matter: none}}", "rejected", {"away": "merger"}, {"away": None}),
        ("{workload: risks}", "reasons", ["routes[1]", "reviews[0]"], ["reviews[0]", "routes[1]"]),
        ("{difficulty: hard}", "signals", {"difficulty": "routine"}, {"difficulty": "hard"}),
        ("{}", "signals", {"team": "legal"}, {"team": None}),
        ("{needs: [json, tools]}", "signals", {"needs": ["tools"]}, {"needs": ["json", "tools"]}),
    ],
)
def test_each_kind_of_failure_shows_both_sides(
    policy: Path, given: str, key: str, expected: object, actual: object
) -> None:
    """Each key of `expect` that does not come true ends with 1, and gives what was expected and what came."""
    case = one(policy, f"given: {given}, expect: {{{key}: {json.dumps(expected)}}}", code=1)
    (unmet,) = case["unmet"]
    assert unmet["key"] == key
    assert unmet["expected"] == expected
    shown = unmet["actual"][: len(actual)] if key == "reasons" and isinstance(actual, list) else unmet["actual"]
    assert shown == actual


def test_only_the_facts_that_differ_are_told(policy: Path) -> None:
    """Of several expected facts the report names those alone that are not so, and order is no difference in needs."""
    expect = "signals: {sensitivity: restricted, needs: [tools, json], stakes: normal}"
    case = one(policy, f"given: {{needs: [json, tools]}}, expect: {{{expect}}}", code=1)
    assert [u["actual"] for u in case["unmet"]] == [{"sensitivity": "internal"}]


def test_an_outage_closes_a_lane(policy: Path) -> None:
    """A lane under `down` is rejected as closed, and what the wall forbids does not take its place."""
    case = one(
        policy,
        "given: {sensitivity: restricted}, down: [home], expect: {decision: refuse, end: no-lane, called: [], rejected: {home: lanes, away: 'wall[0]'}}",
    )
    assert case["end"] == "refused"
    one(policy, "given: {facts: {matter: none}}, down: [home], expect: {lanes: [away], called: [away], end: answered}")


@pytest.mark.parametrize(
    ("answers", "facts", "expect"),
    [
        ("{home: weak}", "matter: none", "{called: [home, away], end: answered}"),
        ("{home: weak, away: weak}", "matter: none", "{called: [home, away], end: marked}"),
        ("{home: weak, away: fail}", "matter: none", "{called: [home, away], end: marked}"),
        ("{home: weak}", "matter: merger", "{called: [home], end: marked}"),
        ("{home: fail}", "matter: none", "{called: [home, away], end: answered}"),
        ("{home: fail, away: fail}", "matter: none", "{called: [home, away], end: lanes-failed}"),
        ("{home: fail}", "matter: merger", "{called: [home], end: refused}"),
        ("{home: refusal}", "matter: none", "{called: [home], end: answered}"),
    ],
)
def test_lanes_answer_as_the_case_says(policy: Path, answers: str, facts: str, expect: str) -> None:
    """Weak answers escalate once to a stronger allowed lane, failures fall back, and the end is what the client gets."""
    one(policy, f"given: {{facts: {{{facts}}}}}, answers: {answers}, expect: {expect}")


def test_high_stakes_wait_after_a_failure(policy: Path) -> None:
    """A fallback that ends in hold is an end of its own: held, with the error's code as the finer word."""
    for end in ("held", "held-after-failure"):
        one(policy, f"given: {{workload: contracts}}, answers: {{home: fail}}, expect: {{end: {end}}}")


@pytest.mark.parametrize(
    ("checks", "weak", "answer", "end"),
    [
        ("empty", "hold", "weak", "held-weak"),
        ("cut-off", "refuse", "weak", "refused-weak"),
        ("tool-call", "hold", "weak", "held-weak"),
        ("refusal", "hold", "weak", "held-weak"),
        ("refusal", "marked", "refusal", "marked"),
        ("empty, invalid-json", "hold", "ok", "answered"),
    ],
)
def test_a_weak_answer_fails_a_check_that_the_policy_has(
    tmp_path: Path, checks: str, weak: str, answer: str, end: str
) -> None:
    """Whatever the gate checks, `weak` is an answer that fails it and `ok` one that does not."""
    policy = tmp_path / "laneway.yaml"
    policy.write_text(POLICY.replace("CHECKS", checks).replace("WEAK", weak), "utf-8")
    one(policy, f"given: {{sensitivity: restricted}}, answers: {{home: {answer}}}, expect: {{end: {end}}}")


@pytest.mark.parametrize(
    ("given", "answers", "expect"),
    [
        ("facts: {matter: none}", "{}", "{called: [home, away], end: answered}"),
        ("facts: {matter: none}", "{home: doubtful}", "{called: [home, away, away, home], end: answered}"),
        ("facts: {matter: none}", "{home: weak}", "{called: [home, away, home], end: answered}"),
        ("facts: {matter: none}", "{away: fail}", "{called: [home, away, away], end: held-weak}"),
        ("sensitivity: restricted", "{}", "{called: [home], end: held-weak}"),
    ],
)
def test_a_case_may_doubt_an_answer(tmp_path: Path, given: str, answers: str, expect: str) -> None:
    """Judges pass what is not doubtful, and `called` lists their calls too; a judge behind the wall is not called."""
    policy, judges = tmp_path / "laneway.yaml", "[empty]\n  judge: [strongest, home]"
    policy.write_text(POLICY.replace("[CHECKS]", judges).replace("WEAK", "hold"), "utf-8")
    one(policy, f"given: {{{given}}}, answers: {answers}, expect: {expect}")


@pytest.mark.parametrize(
    "output",
    ["{language: sv}", "{language: en}", "{format: text}", "{format: json, schema: {type: array, minItems: 1, items: {type: string}}}", "{most_chars: 40}"],
)  # fmt: skip
def test_a_played_lane_keeps_the_contract_or_breaks_it(tmp_path: Path, output: str) -> None:
    """`ok` is an answer that keeps the workload's `output`, and `weak` one that breaks it, whatever it asks for."""
    policy = tmp_path / "laneway.yaml"
    source = POLICY.replace("  checks: [CHECKS]\n", "").replace("WEAK", "hold")
    policy.write_text(source.replace("stakes: high}\n", f"stakes: high, output: {output}}}\n", 1), "utf-8")
    for answer, end in (("ok", "answered"), ("weak", "held-weak")):
        one(policy, f"given: {{workload: contracts}}, answers: {{home: {answer}}}, expect: {{end: {end}}}")


SCHEMA = "{type: object, required: [a, b, c, d, e, f], properties: {a: {type: array, items: {type: number}, minItems: 2}, b: {type: [string, 'null'], minLength: 3}, c: {const: 7}, d: {enum: [x, y]}, e: {type: boolean}, f: {type: 'null'}}}"


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_request_may_want_json_and_a_stream(policy: Path, stream: str) -> None:
    """An `ok` answer to a request with an answer schema meets it, and a weak one does not, whole and as a stream."""
    form = f"response_format: {{type: json_schema, json_schema: {{name: n, schema: {SCHEMA}}}}}"
    request = f"request: {{model: auto, stream: {stream}, messages: [{{role: user, content: Hello}}], {form}}}, headers: {{Laneway-Fact-Matter: none}}"
    one(policy, f"{request}, expect: {{called: [home], end: answered, signals: {{needs: [json]}}}}")
    one(policy, f"{request}, answers: {{home: weak}}, expect: {{called: [home, away], end: answered}}")


def test_a_personal_number_in_a_request_is_found(policy: Path) -> None:
    """A whole request is classified for real: a Swedish personal number makes it restricted, whatever its label."""
    request = "request: {model: auto, messages: [{role: user, content: Write to 640823-3234 about the appointment.}]}"
    case = one(
        policy,
        f"{request}, headers: {{laneway-sensitivity: public, laneway-fact-matter: none}}, expect: {{signals: {{sensitivity: restricted}}, called: [home], end: answered}}",
    )
    kinds = [kind for signal, _, kind, _ in case["explained"]["signals"]["evidence"] if signal == "sensitivity"]
    assert kinds == ["label", "se.personnummer"]


@pytest.mark.parametrize(
    ("request_", "end"),
    [
        ("request: {model: gpt, messages: []}", "model-not-found"),
        ("request: {model: auto, messages: nothing}", "invalid-type"),
        ("request: {model: auto, messages: []}, headers: {laneway-sensitivity: secret}", "unknown-label"),
        ("request: {model: auto, messages: [], base_url: 'https://elsewhere.example'}", "client-destination"),
        ("given: {model: risks, workload: contracts}", "conflicting-label"),
    ],
)
def test_a_request_that_cannot_be_used_has_an_end_too(policy: Path, request_: str, end: str) -> None:
    """A client's error is an end: `invalid`, or its code; no lane is called, and there is no decision."""
    one(policy, f"{request_}, expect: {{end: {end}, called: []}}")
    case = one(policy, f"{request_}, expect: {{end: invalid, decision: route}}", code=1)
    assert case["unmet"] == [{"key": "decision", "expected": "route", "actual": None}]
    assert end.replace("-", "_") in case["error"]


@pytest.mark.parametrize("text", ["cases: []", GREEN])
def test_an_empty_suite_fails(policy: Path, text: str) -> None:
    """No case in the file, or none that `-k` selects, ends with 1, as it proves nothing."""
    result = suite(policy, text, "-k", "no such case", code=1)
    assert result.stdout == ""
    assert "proves nothing" in result.stderr
    assert json.loads(suite(policy, text, "-k", "no such case", "--json", code=1).stdout)["passed"] is False


def test_cases_are_selected_by_id_and_sentence(policy: Path) -> None:
    """`-k TEXT` runs only what has the text in its id or its sentence, in whatever case."""
    for text in ("RESTRICTED-home", "stays at"):
        assert suite(policy, GREEN, "-k", text).stdout.splitlines()[-1].startswith("1 case passed.")


def test_coverage_below_the_bar_fails(policy: Path) -> None:
    """Uncovered rules are named with their line, and end with 1 only below `--min-coverage`."""
    text = "today: 2026-11-24\ncases: [{says: Home., given: {sensitivity: restricted}, expect: {lanes: [home]}}]"
    result = suite(policy, text)
    assert "1 case passed. 5 of 10 rules covered (50 %)" in result.stdout
    lines = POLICY.splitlines()
    hard = next(i for i, line in enumerate(lines, start=1) if "Hard work" in line)
    assert f"  routes[0]     line {hard}  Hard work starts at the strongest." in result.stdout
    assert suite(policy, text, "--min-coverage", "50").exit_code == 0
    low = suite(policy, text, "--min-coverage", "50.5", code=1)
    assert "(50 %, fewer than 50.5 %)" in low.stdout
    made = json.loads(suite(policy, text, "--json", "--min-coverage", "51", code=1).stdout)
    assert (made["passed"], made["coverage"]["percent"]) == (False, 50.0)
    assert {"rule": "routes[0]", "line": hard, "says": "Hard work starts at the strongest."} in made["coverage"][
        "uncovered"
    ]


def test_a_failed_case_covers_nothing(policy: Path) -> None:
    """A rule that only a failed case cites is not covered."""
    text = "today: 2026-11-24\ncases: [{says: Home., given: {sensitivity: restricted}, expect: {lanes: [away]}}]"
    assert json.loads(suite(policy, text, "--json", code=1).stdout)["coverage"]["covered"] == 0


def test_the_day_of_the_file_counts(policy: Path) -> None:
    """A suite is judged on its own day, so that a waiver that ended since still holds in it, also when served."""
    case = "  - {says: It may serve., given: {}, expect: {decision: route, end: answered}}\n"
    suite(policy, f"today: 2026-12-01\ncases:\n{case}")
    suite(policy, f"today: 2026-12-02\ncases:\n{case}", code=1)
    refused = (
        "cases: [{says: Ended., given: {}, expect: {decision: refuse, end: no-lane, rejected: {home: gate.evidence}}}]"
    )
    suite(policy, f"today: 2026-12-02\n{refused}")


def test_a_case_may_have_a_day_of_its_own(policy: Path) -> None:
    """The same request is judged on each case's day, decided and served, and `explain --case` shows it on that day."""
    given = "given: {}, expect: {decision: refuse, end: no-lane, rejected: {home: gate.evidence}}"
    text = (
        "today: 2026-12-01\ncases:\n  - {says: Now., given: {}, expect: {decision: route, end: answered}}\n"
        f"  - {{id: later, says: When the waiver has ended., today: 2026-12-02, {given}}}\n"
    )
    suite(policy, text)
    suite(policy, text.replace(" today: 2026-12-02,", ""), code=1)
    policy.with_name("cases.yaml").write_text(text, "utf-8")
    told = CliRunner().invoke(main, ["explain", "--policy", str(policy), "--case", "later", "--json"])
    assert "its waiver ended on 2026-12-01" in told.stdout


FAILING = """\
today: 2026-11-24
cases:
  - says: The first one holds.
    given: {sensitivity: restricted}
    expect: {lanes: [home]}
  - id: everything
    says: A long sentence about what must happen to a request that is hard and of high stakes, in the words of the person who signs it, and then some more.
    request: {model: auto, messages: [{role: user, content: "Prove that 640823-3234 and 4111 1111 1111 1111 are there, step by step, in Python."}], tools: [{type: function, function: {name: f}}]}
    headers: {laneway-sensitivity: public, laneway-team: legal, laneway-region: SE, laneway-ceiling: "0.40", laneway-stakes: high, laneway-latency: batch, laneway-fact-matter: none, laneway-fact-pages: "3"}
    answers: {home: weak}
    expect:
      decision: refuse
      lanes: [away, away, away, away, away, away, away, away, away, away, away, away]
      called: [away, away, away, away, away, away, away, away, away, away, away, away]
      end: approval-required
      rejected: {away: "a long name of a rule that there is not in this policy", home: "wall[0]"}
      reasons: ["a long name of a rule that there is not in this policy", "and another one"]
      signals: {sensitivity: public, difficulty: routine, stakes: normal, latency: interactive, ceiling: 4, tokens: 3}
"""


def test_a_failed_case_fits_a_screen(policy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much differs, a failed case takes at most 25 lines of at most 80 columns; only its command may be longer."""
    monkeypatch.setattr(out, "width", 80)
    monkeypatch.chdir(policy.parent)
    told = suite(Path("laneway.yaml"), FAILING, code=1).stdout.partition("No passing case cites")[0].splitlines()
    assert told[0] == "FAILED everything  cases.yaml:6"
    command = next(line for line in told if "see it" in line)
    assert command.split(maxsplit=2)[2] == "laneway explain --policy laneway.yaml --case everything"
    assert len(told) <= 25
    assert all(len(line) <= 80 for line in told)
    text = "\n".join(told)
    assert all(key in text for key in ("decision", "lanes", "called", "end", "rejected", "reasons", "signals"))
    assert "sensitivity restricted  from messages[0].content (se.personnummer)" in text
    assert "routes[0] (line " in text


def test_a_failed_case_shows_its_facts_and_where_they_came_from(policy: Path) -> None:
    """Facts that somebody stated stand with their source, the defaults apart, and the rules with their lines."""
    text = "today: 2026-11-24\ncases: [{says: Home., given: {sensitivity: restricted, difficulty: hard, tokens: 700}, expect: {lanes: [away]}}]"
    told = " ".join(suite(policy, text, code=1).stdout.split())
    wall = next(i for i, line in enumerate(POLICY.splitlines(), start=1) if "stays on our machines" in line)
    for piece in ("sensitivity restricted from header laneway-sensitivity (label)", "difficulty hard from request (stated)",
                  "tokens about 700 from request (stated)", "stakes normal, latency interactive", f"wall[0] (line {wall})"):  # fmt: skip
        assert piece in told
    assert "--case 'cases[0]'" in told


def test_an_error_of_a_request_is_shown(policy: Path) -> None:
    """Where a request cannot be used the failed case says why, in place of facts and rules."""
    text = "cases: [{says: It is read., request: {model: auto, messages: 1}, expect: {decision: route}}]"
    told = suite(policy, text, code=1).stdout
    assert "invalid_type: `messages`" in told
    assert "cited" not in told


def test_explain_shows_a_case_on_its_day(policy: Path) -> None:
    """`explain --case ID` decides as the case does: its day, its lanes that are out, its whole request; flags still win."""
    text = "today: 2026-11-24\ncases:\n  - {id: a, says: It is out., given: {sensitivity: restricted, difficulty: hard}, down: [home], expect: {decision: refuse}}\n"
    text += "  - {id: b, says: It is found., request: {model: auto, messages: [{role: user, content: 640823-3234}]}, headers: {laneway-team: x}, expect: {decision: route}}\n"
    suite(policy, text)

    def explained(*arguments: str) -> tuple[int, Any]:
        result = CliRunner().invoke(main, ["explain", "--policy", str(policy), "--json", *arguments])
        return result.exit_code, json.loads(result.stdout) if result.stdout else result.stderr

    code, made = explained("--case", "a")
    assert (code, made["signals"]["difficulty"], made["signals"]["tokens"]) == (3, "hard", 0)
    assert {r["lane"]: r["rule"] for r in made["rejected"]} == {"home": "lanes", "away": "wall[0]"}
    code, made = explained("--case", "b", "--team", "y", "--tokens", "9")
    assert (code, made["lanes"], made["signals"]["sensitivity"]) == (0, ["home"], "restricted")
    assert (made["signals"]["team"], made["signals"]["tokens"]) == ("y", 9)
    code, told = explained("--case", "c")
    assert code == 2
    assert "--case: unknown value `c`" in told
    code, told = explained("--case", "a", "--request", str(policy))
    assert code == 2
    assert "leave --request out" in told


def test_a_bad_file_of_cases_ends_with_5(policy: Path) -> None:
    """Every problem of the file is told with its place, and nothing is run."""
    text = GREEN.replace("given: {sensitivity: restricted", "givn: {sensitivity: restricted").replace(
        "rejected: {away: merger}", "rejected: {awaz: merger}"
    )
    result = suite(policy, text, code=5)
    assert result.stdout == ""
    told = result.stderr.splitlines()
    assert "cases.yaml:5:5: unknown key `givn` in this case; did you mean `given`?" in result.stderr
    assert "unknown key `awaz` in `rejected`; did you mean `away`?" in told[-1]
