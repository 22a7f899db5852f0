"""The starter as a newcomer uses it: it loads unedited, keeps its promises, and says what an edit broke."""

from __future__ import annotations

import datetime
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from laneway.cli import main
from laneway.decide import decide
from laneway.decision import Route
from laneway.explain import contract
from laneway.facts import Facts
from laneway.policy_file import load
from laneway.signals import Ask, Signals

HARD_SECRET = ["--sensitivity", "restricted", "--difficulty", "hard"]


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    """The policy that `laneway init DIR` writes."""
    result = CliRunner().invoke(main, ["init", str(tmp_path / "starter")])
    assert result.exit_code == 0, result.output
    return tmp_path / "starter" / "laneway.yaml"


def explain(policy: Path, *flags: str) -> tuple[Result, Any]:
    """Exit code and JSON of `laneway explain`."""
    result = CliRunner().invoke(main, ["explain", "--policy", str(policy), "--json", *flags])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result, json.loads(result.stdout) if result.stdout else None


def edit(policy: Path, old: str, new: str, *, pattern: bool = False) -> None:
    """Replace the one `old` in the file, as a person would."""
    text = policy.read_text("utf-8")
    edited, count = re.subn(old if pattern else re.escape(old), lambda _: new, text, flags=re.MULTILINE)
    assert count == 1, f"{old!r} stands {count} times"
    policy.write_text(edited, "utf-8")


def without_home(policy: Path) -> None:
    """Take the home lane out of lanes, strength and waiver."""
    edit(policy, r"^  home:\n(?:    .*\n)+", "", pattern=True)
    edit(policy, "strength: [home, premium]", "strength: [premium]")
    edit(policy, "lanes: [home, premium]", "lanes: [premium]")


def test_restricted_hard_work_goes_home_and_nowhere_else(starter: Path) -> None:
    """For restricted, hard work only home is named, and every other lane is rejected with rule, sentence and reason."""
    result, made = explain(starter, *HARD_SECRET)
    assert result.exit_code == 0
    assert (made["decision"], made["lanes"]) == ("route", ["home"])
    others = {lane: reason for reason in made["rejected"] for lane in [reason["lane"]]}
    assert set(others) == set(load(starter).lanes) - {"home"}
    for reason in others.values():
        assert reason["rule"] == "wall[0]"
        assert reason["reason"].startswith("restricted data may not use")
        assert reason["says"] in starter.read_text("utf-8")
        assert reason["signal"] == "sensitivity=restricted"
    assert made["reasons"][0]["says"] in starter.read_text("utf-8")


def test_without_home_restricted_work_is_refused(starter: Path) -> None:
    """With the home lane taken out of the file, restricted work has no lane: exit code 3 and the wall as the reason."""
    without_home(starter)
    result, made = explain(starter, *HARD_SECRET)
    assert result.exit_code == 3
    assert (made["decision"], made["lanes"]) == ("refuse", [])
    assert [reason["lane"] for reason in made["rejected"]] == ["premium"]
    assert {reason["rule"] for reason in made["reasons"]} >= {"wall[0]"}
    assert explain(starter, "--sensitivity", "internal")[1]["lanes"] == ["premium"]


def test_a_lane_forgotten_in_strength_is_told(starter: Path) -> None:
    """A lane that is taken out of one place only gives every other place that still names it."""
    edit(starter, r"^  home:\n(?:    .*\n)+", "", pattern=True)
    result = CliRunner().invoke(main, ["explain", "--policy", str(starter)])
    assert result.exit_code == 5
    assert result.stderr.count("unknown lane `home`") == 2


def test_a_misspelled_key_is_told_with_its_remedy(starter: Path) -> None:
    """`lanez:` ends with 5, gives line and column, and says `lanes`."""
    line = starter.read_text("utf-8").splitlines().index("lanes:") + 1
    edit(starter, r"^lanes:$", "lanez:", pattern=True)
    result = CliRunner().invoke(main, ["explain", "--policy", str(starter), *HARD_SECRET])
    assert result.exit_code == 5
    assert f"{starter}:{line}:1: unknown key `lanez` in a policy; did you mean `lanes`?" in result.stderr.replace(
        "\n", " "
    )


def test_the_table_shows_every_class_and_lane(starter: Path) -> None:
    """`--all` says of every class and lane what would happen: what is restricted never goes to premium."""
    _, made = explain(starter, "--all")
    table = {row["sensitivity"]: row["lanes"] for row in made["classes"]}
    assert list(table) == ["restricted", "confidential", "internal", "public"]
    assert all(set(lanes) == {"home", "premium"} for lanes in table.values())
    assert table["restricted"] == table["confidential"] == {"home": "first", "premium": "never"}


def test_the_starter_says_what_is_owed(starter: Path) -> None:
    """The starter's waiver is dated thirty days ahead, named, and cited as the reason why a lane may serve."""
    policy = load(starter)
    (waiver,) = policy.gate.waivers
    today = datetime.datetime.now(datetime.UTC).date()
    assert abs((waiver.until - today).days - 30) <= 1
    assert waiver.by
    assert waiver.lanes == set(policy.lanes)
    assert "waived" in {reason["code"] for reason in explain(starter)[1]["reasons"]}


def test_after_thirty_days_the_starter_refuses(starter: Path) -> None:
    """Once the waiver has ended no lane serves without evidence, and the reason says on which day it ended."""
    policy = load(starter)
    late = policy.gate.waivers[0].until + datetime.timedelta(days=1)
    signals = Signals(sensitivity="internal")
    made: Any = contract(decide(policy, Ask(), signals, Facts(today=late)), signals, policy.hash)
    assert made["decision"] == "refuse"
    assert all(f"its waiver ended on {policy.gate.waivers[0].until}" in reason["reason"] for reason in made["rejected"])


def test_every_rule_of_the_starter_has_a_sentence(starter: Path) -> None:
    """Each rule, the gate, the waiver and the detection say in plain words what they do."""
    policy = load(starter)
    rules = (*policy.grants, *policy.limits, *policy.routes, *policy.fallbacks, *policy.reviews, *policy.gate.waivers)
    assert all(rule.says for rule in rules)
    assert policy.gate.says
    assert policy.detect.says


def rehearsed(policy: Path) -> tuple[int, Any]:
    """Exit code and JSON of `laneway test` over the cases beside the policy, with every rule to be covered."""
    result = CliRunner().invoke(main, ["test", str(policy), "--min-coverage", "100", "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, json.loads(result.stdout)


def test_every_case_of_the_starter_holds(starter: Path) -> None:
    """What cases.yaml promises in words is what the policy decides and does, and no rule is left out."""
    code, made = rehearsed(starter)
    assert (code, made["passed"], made["coverage"]["uncovered"]) == (0, True, [])
    assert len(made["cases"]) >= 4


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("zones: [ours], says", "zones: [ours, outside], says", "restricted"),
        ("try: strongest", "try: cheapest", "hard"),
        ("weak: [strongest, marked]", "weak: marked", "weak-answer"),
        ("identifiers: restricted", "identifiers: public", "personal-number"),
        ("weak: [strongest, marked]", "weak: [strongest, refuse]", "weak-restricted-answer"),
        ("then: [next, refuse]", "then: refuse", "home-fails"),
    ],
)
def test_the_cases_would_notice(starter: Path, old: str, new: str, told: str) -> None:
    """Open the wall, or change what another sentence promises, and the starter's cases fail."""
    edit(starter, old, new)
    code, made = rehearsed(starter)
    assert code == 1
    assert told in [case["id"] for case in made["cases"] if not case["passed"]]


def test_the_third_lane_page_works_as_written(starter: Path) -> None:
    """Whoever follows the page on a third lane, step by step, gets a policy that loads and uses that lane."""
    page = starter.with_name("THIRD-LANE.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    lane = textwrap.dedent(block).removeprefix("lanes:\n")
    edit(starter, "strength: [home, premium]", lane + "strength: [home, shared, premium]")
    zone, row = (
        re.search(pattern, page)
        for pattern in (r"`(eea: \{.*?\})`", r"`\{(sensitivity: confidential, .*?)says: \.\.\.\}`")
    )
    assert zone
    assert row
    edit(starter, "  ours: {kind", f"  {zone[1]}\n  ours: {{kind")
    edit(starter, "sensitivity: [restricted, confidential], ", "sensitivity: [restricted], ")
    edit(starter, "wall: ", f"wall:\n  - {{{row[1]}says: Also in Germany.}}  ")
    edit(starter, "lanes: [home, premium]", "lanes: [home, shared, premium]")
    facts = Facts(today=datetime.date(2026, 11, 24))
    decision = decide(load(starter), Ask(), Signals(sensitivity="confidential"), facts)
    assert isinstance(decision, Route)
    assert set(decision.lanes) == {"home", "shared"}


@pytest.mark.parametrize("name", ["Åsa", "O'Brien", 'a "b" c', "$HOME ${x}", "x: {y}", "#1", "😀", "no"])
def test_the_starter_loads_for_whoever_wrote_it(tmp_path: Path, name: str) -> None:
    """Whatever the user is called, the starter loads, and names that person as who waived the evidence."""
    result = CliRunner().invoke(main, ["init", str(tmp_path)], env={"LOGNAME": name})
    assert result.exit_code == 0, result.output
    assert load(tmp_path / "laneway.yaml").gate.waivers[0].by == name
