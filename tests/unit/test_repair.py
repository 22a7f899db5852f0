"""repair: each error comes with a change that was proved to mend it, and `check --fix` writes the safe ones."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.policies import FULL, SMALL, TODAY, changed

from laneway.cli import main
from laneway.policy import Policy
from laneway.policy_file import parse
from laneway.proof.finding import Finding
from laneway.proof.oracle import choose
from laneway.proof.verify import verify
from laneway.repair import mended
from laneway.repair.edits import Repair, applied, diff, place
from laneway.repair.mended import repaired
from laneway.wall import walled

OURS = "{sensitivity: restricted, zones: [ours], says: Ours alone.}"
NEVER = "must:\n  - {says: Never out., never: {sensitivity: restricted, lane: {kind: premium}}}\n"
BLOCK = SMALL.replace(f"  - {OURS}\n", """\
  # the strictest
  - sensitivity: restricted
    zones:
      - ours
      - all   # too much
    says: |
      Ours
      alone.

  # the rest
""")  # fmt: skip


def errors(text: str) -> list[Finding]:
    """The errors of a policy's text, with their repairs."""
    policy = parse(text, "p.yaml")
    return list(repaired(policy, verify(policy, TODAY), TODAY).errors)


def only(text: str) -> tuple[Finding, tuple[Repair, ...]]:
    """The one error of a text, and its repairs."""
    (error,) = errors(text)
    return error, error.repairs


# code, policy, what the first repair adds, whether it is safe
MENDED = [
    ("must-broken", changed("zones: [ours], says", "zones: [ours, all], says", SMALL) + NEVER,
     f"+ - {OURS}", True),
    ("must-broken", BLOCK + NEVER, "+ zones: [ours]   # too much", True),
    ("must-broken", SMALL + "must:\n  - {never: {cost: {over: 2}}}\n",
     "+ unlabelled: {sensitivity: public, ceiling: 2}", True),
    ("must-broken", changed("zones: [ours], says", "zones: [all], says", SMALL) + "must:\n  - {never: {sensitivity: restricted, lane: {kind: premium}}}\n",
     f"+ - {OURS}", True),
    ("must-broken", changed("ours: {kind: local}", "ours: {kind: [local, premium]}", SMALL) + NEVER,
     "+ ours: {kind: [local, premium], lanes: [home]}", True),
    ("must-broken", changed("routes:", "workloads:\n  payroll: {stakes: high}\nroutes:", SMALL) +
     "must:\n  - {never: {workload: payroll, lane: {name: away}}}\n",
     "+ payroll: {stakes: high, sensitivity: restricted}", False),
    ("names-forbidden-lane", changed("{try: cheapest}", "{try: [away, home]}", SMALL),
     "+ - {says: Restricted data is kept to what it may use., when: {sensitivity: restricted}, try: home}", True),
    ("names-forbidden-lane", changed("{try: cheapest}", "{when: {sensitivity: restricted}, try: [away, home]}\n  - {try: cheapest}", SMALL),
     "+ - {when: {sensitivity: restricted}, try: home}", True),
    ("names-forbidden-lane", changed("by: me}", "by: me}\n  checks: [empty]\n  weak: [away, marked]", SMALL),
     "+ weak: [strongest, marked]", True),
    ("class-forgotten", changed(f"  - {OURS}\n", "", SMALL),
     "+ - {sensitivity: restricted, zones: [], says: No lane may see restricted data.}", True),
    ("no-route", changed("{try: cheapest}", "{when: {stakes: high}, try: cheapest}", SMALL),
     "+ - {says: Other requests take the cheapest lane., try: cheapest}", False),
    ("dead-rule", changed("{try: cheapest}", "{try: cheapest}\n  - {when: {stakes: high}, try: safest}", SMALL),
     "+ - {when: {stakes: high}, try: safest}", False),
    ("dead-rule", changed(f"  - {OURS}\n", f"  - {OURS}\n  - {{when: {{stakes: high}}, zones: [all]}}\n", SMALL),
     "- - {when: {stakes: high}, zones: [all]}", False),
    ("raising-adds-lane", changed(OURS, "{sensitivity: restricted, zones: [all]}\n  - {when: {sensitivity: public}, zones: [ours]}", SMALL),
     "+ - {when: {sensitivity: {at_least: public}}, zones: [ours]}", True),
    ("deadlines", SMALL + "fallbacks:\n  - {then: next}\ndeadlines: {interactive: {first_byte: 4s, total: 6s}}\n",
     "+ deadlines: {interactive: {first_byte: 4s, total: 8s}}", False),
    ("ceiling-unmeetable", changed("{sensitivity: public}", "{sensitivity: public, ceiling: 0}",
                                   changed("price: 0}", "price: 5}", SMALL)),
     "+ unlabelled: {sensitivity: public, ceiling: 0.0061}", False),
]  # fmt: skip


@pytest.mark.parametrize(("code", "text", "added", "safe"), MENDED, ids=[f"{m[0]}-{i}" for i, m in enumerate(MENDED)])
def test_an_error_comes_with_a_change_that_mends_it(code: str, text: str, added: str, safe: bool) -> None:
    """The first repair changes what it should, is marked safe only where it closes, and leaves the policy proved."""
    error, repairs = only(text)
    assert error.code == code
    assert added in diff(text, repairs[0].edits)
    assert repairs[0].safe == safe
    for repair in repairs:
        assert verify(parse(applied(text, repair.edits)), TODAY).proved


def test_a_repair_leaves_every_other_character_as_it_is() -> None:
    """In block style with comments only the lines of the mended value change."""
    _, (first, second) = only(BLOCK + NEVER)
    assert diff(BLOCK + NEVER, first.edits) == [
        "- zones:",
        "- - ours",
        "- - all   # too much",
        "+ zones: [ours]   # too much",
    ]
    assert diff(BLOCK + NEVER, second.edits) == [
        "+ - {when: {sensitivity: restricted}, zones: [ours], says: Never out.}"
    ]


def test_a_file_with_windows_line_ends_keeps_them() -> None:
    """A rule that is put in ends as its neighbours do."""
    text = SMALL.replace("\n", "\r\n").replace("{try: cheapest}", "{when: {stakes: high}, try: cheapest}")
    _, (first, *_) = only(text)
    assert applied(text, first.edits).count("\n") == applied(text, first.edits).count("\r\n")


def test_a_rule_behind_a_limit_of_an_unknown_fact_is_split_in_two() -> None:
    """A rule that names lanes which a limit closes keeps them where the fact is known, and loses them elsewhere."""
    error = next(e for e in errors(FULL) if e.code == "names-forbidden-lane")
    first, second = error.repairs
    assert first.safe
    assert [line.split("try: ")[1] for line in diff(FULL, first.edits)] == [
        "[shared, ours]}", "ours}", "[shared, ours]}", "ours}",
    ]  # fmt: skip
    assert not [e for e in errors(applied(FULL, first.edits)) if e.code == error.code]
    assert second.says == "leave out what some of these requests may not use"


def test_what_only_people_know_is_told_in_words() -> None:
    """A region that nobody stated has a remedy and no repair."""
    (unknown,) = [e for e in errors(FULL) if e.code == "region-unknown"]
    assert unknown.remedy
    assert unknown.repairs == ()


def test_a_change_under_which_cases_fail_is_not_offered() -> None:
    """A repair under which the policy's cases fail is left out; the next that agrees is offered."""
    text = changed("zones: [ours], says", "zones: [ours, all], says", SMALL) + NEVER
    policy = parse(text)

    def failing(changed_policy: Policy) -> int:
        return 0 if changed_policy is policy or changed_policy.limits else 1

    (error,) = repaired(policy, verify(policy, TODAY), TODAY, failing=failing).errors
    assert [repair.says for repair in error.repairs] == ["limit the wall by the same condition"]


def test_a_repair_that_takes_a_sentence_away_is_not_safe() -> None:
    """Deleting a dead rule mends the policy, but is never written without a person."""
    text = changed(
        f"  - {OURS}\n", f"  - {OURS}\n  - {{when: {{stakes: high}}, zones: [all], says: Keep me.}}\n", SMALL
    )
    _, repairs = only(text)
    assert [repair.safe for repair in repairs] == [False]


def run(tmp_path: Path, text: str, *flags: str) -> tuple[int, str, str]:
    """`laneway check` on a file: exit code, output, and the text afterwards."""
    path = tmp_path / "p.yaml"
    path.write_bytes(text.encode())
    done = CliRunner().invoke(main, ["check", str(path), *flags], env={"COLUMNS": "80"})
    return done.exit_code, done.output, path.read_bytes().decode()


def test_fix_writes_the_safe_repairs_and_says_so(tmp_path: Path) -> None:
    """`check --fix` mends what it can by closing, tells each change, and exits by the new state."""
    text = changed("zones: [ours], says", "zones: [ours, all], says", SMALL) + NEVER
    code, output, after = run(tmp_path, text, "--fix")
    assert (code, after) == (0, SMALL + NEVER)
    assert "fixed" in output
    assert "take the zone out of the wall's row" in output
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


def test_fix_leaves_what_would_open_anything(tmp_path: Path) -> None:
    """A deadline is not a wall: the repair is shown, the file stays, and the check still fails."""
    text = SMALL + "fallbacks:\n  - {then: next}\ndeadlines: {interactive: {first_byte: 4s, total: 6s}}\n"
    code, output, after = run(tmp_path, text, "--fix")
    assert (code, after) == (6, text)
    assert "total: 8s" in output


def test_json_gives_ranges_and_replacements(tmp_path: Path) -> None:
    """A script can apply a repair from its offsets, and an editor from its lines and columns."""
    text = changed("zones: [ours], says", "zones: [ours, all], says", SMALL) + NEVER
    _, output, _ = run(tmp_path, text, "--json")
    (edit,) = json.loads(output)["findings"][0]["repairs"][0]["edits"]
    start, end = edit["start"], edit["end"]
    assert text[start["offset"] : end["offset"]] == "[ours, all]"
    assert edit["replacement"] == "[ours]"
    line = text.splitlines()[start["line"] - 1]
    assert line[start["column"] - 1 : end["column"] - 1] == "[ours, all]"
    assert place(text, 0) == (1, 1)


def test_a_finding_fits_a_small_terminal(tmp_path: Path) -> None:
    """Each finding of a rich policy, repair and all, takes at most 25 lines of 80 columns, but for the command to copy."""
    _, output, _ = run(tmp_path, FULL)
    findings = output.split("\n\n")[:-1]
    assert max(len(finding.splitlines()) for finding in findings) <= 25
    told = [line for line in output.splitlines()[:-1] if not line.startswith("  see it")]
    assert max(map(len, told)) <= 80


def _without_home(made: Policy) -> int:
    """How many cases fail, of one: restricted data may use home."""
    return "home" not in walled(made, TODAY)["restricted"].admitted


def test_a_zone_that_lost_its_own_lane_gets_it_back_where_cases_ask_for_it() -> None:
    """Taking the stranger out of a zone leaves it empty; naming the lanes that the property allows keeps the cases."""
    text = changed("ours: {kind: local}", "ours: {kind: premium}", SMALL) + NEVER
    policy = parse(text, "p.yaml")
    report = repaired(policy, verify(policy, TODAY), TODAY, failing=_without_home)
    first = next(e for e in report.errors if e.code == "must-broken").repairs[0]
    assert not first.safe
    assert "+ ours: {lanes: [home]}" in diff(text, first.edits)


def test_a_safe_repair_is_offered_where_those_that_keep_the_cases_open_something(tmp_path: Path) -> None:
    """Two changes that give a class its lane back rank first; the best that only closes is not lost to `--fix`."""
    text = changed("ours: {kind: local}", "ours: {kind: premium}\n  mine: {kind: local}", SMALL) + NEVER
    policy = parse(text, "p.yaml")
    report = repaired(policy, verify(policy, TODAY), TODAY, failing=_without_home)
    first, second = next(e for e in report.errors if e.code == "must-broken").repairs
    assert first.says == "give the row the zones that hold no such lane"
    assert [first.safe, second.safe] == [False, True]
    assert not _without_home(parse(applied(text, first.edits)))
    (tmp_path / "cases.yaml").write_text(
        "cases:\n  - {says: Ours answer., given: {sensitivity: restricted}, expect: {lanes: [home]}}\n"
    )
    code, output, after = run(tmp_path, text, "--fix")
    assert (code, "zones: []" in after) == (0, True), output


def test_what_only_closes_comes_before_what_opens_where_nobody_counts_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """By z3 no change is counted: of two that mend as much the one that lets no request gain a lane is first."""
    rack = '  rack: {kind: local, provider: openai, url: "http://127.0.0.1:2/v1", model: r, price: 1}\n'
    text = SMALL.replace("strength: [home, away]\n", f"{rack}strength: [home, rack, away]\n")
    text = text.replace("lanes: [home, away]", "lanes: [home, rack, away]")
    text = changed("zones:\n", "zones:\n  wide: {lanes: [home, away]}\n", text)
    text = changed("zones: [ours], says", "zones: [wide], says", text) + NEVER
    policy = parse(text, "p.yaml")
    monkeypatch.setattr(mended, "choose", partial(choose, most=0))
    report = repaired(policy, verify(policy, TODAY), TODAY, failing=_without_home)
    (error,) = report.errors
    assert error.repairs[0].safe
    assert not _without_home(parse(applied(text, error.repairs[0].edits)))
