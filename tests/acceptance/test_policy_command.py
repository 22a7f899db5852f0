"""`laneway policy` and `laneway policy approve` as people meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.acceptance.test_cli import POLICY as SHOWN
from tests.policies import FULL, SMALL, changed

from laneway.cli import main
from laneway.policy_file import load


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file whose every property is proved, whatever the day."""
    path = tmp_path / "laneway.yaml"
    path.write_text(SMALL, "utf-8")
    return path


def run(*arguments: str | Path, code: int = 0, columns: int = 100) -> Result:
    """One command line; its exit code must be `code`."""
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


def words(result: Result) -> str:
    """What was printed, whatever the line breaks."""
    return " ".join(result.stdout.split())


@pytest.mark.parametrize("columns", [80, 120])
def test_policy_shows_every_section_on_a_terminal(tmp_path: Path, columns: int) -> None:
    """Headings, sentences and what the rules do, at common widths, with no line longer than the terminal."""
    path = tmp_path / "full.yaml"
    path.write_text(FULL, "utf-8")
    shown = run("policy", path, columns=columns)
    for part in ("Who may use what", "What is restricted never leaves", "Restricted data may use lanes of",
                 "What may leave the EEA, and on what basis", "When a lane is down", "not proved"):  # fmt: skip
        assert part in words(shown)
    assert [line for line in shown.stdout.splitlines() if len(line) > columns] == []


def test_policy_reads_the_policy_here_or_the_one_named_by_the_environment(
    policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every command does."""
    monkeypatch.chdir(policy.parent)
    here = run("policy", "--json").stdout
    monkeypatch.chdir("/")
    monkeypatch.setenv("LANEWAY_POLICY", str(policy))
    there = run("policy", "--json").stdout
    assert json.loads(here)["meaning"] == json.loads(there)["meaning"]


def test_policy_writes_one_html_page_or_prints_it(policy: Path) -> None:
    """To the file that was named and nothing beside it; `-` is standard output."""
    file = policy.parent / "policy.html"
    assert run("policy", policy, "--html", file).output == ""
    assert file.read_text("utf-8").startswith("<!doctype html>")
    assert run("policy", "--html", "-", policy).stdout == file.read_text("utf-8")
    assert sorted(p.name for p in policy.parent.iterdir()) == ["laneway.yaml", "policy.html"]


def test_policy_prints_markdown_without_wrapping(policy: Path) -> None:
    """A row of a table is one line, however narrow the terminal is."""
    printed = run("policy", policy, "--markdown", columns=40).stdout
    assert "| restricted | first choice | never |" in printed.replace("\\", "")


def test_policy_shows_what_is_wrong_and_exits_as_shown(tmp_path: Path) -> None:
    """A policy with broken promises is shown with them; a file that does not load is exit 5; help names approve."""
    path = tmp_path / "p.yaml"
    path.write_text(changed("  - {try: cheapest}", "  - {try: away}", SMALL), "utf-8")
    assert "routes[0]" in words(run("policy", path))
    assert "NOT proved" in words(run("policy", path))
    path.write_text("laneway: 1", "utf-8")
    run("policy", path, code=5)
    run("policy", path, "--nonsense", code=2)
    assert "laneway policy approve --by NAME" in run("policy", "--help").output


def test_approve_signs_the_policy_and_a_later_change_breaks_check(policy: Path) -> None:
    """Approved, checked, one word changed: `check` names who approved and exits 6; approving again mends it."""
    before = policy.read_text("utf-8")
    assert "Ann approves small" in words(run("policy", "approve", policy, "--by", "Ann"))
    made = load(policy)
    assert made.approval is not None
    assert (made.approval.by, made.approval.hash) == ("Ann", made.meaning)
    assert [line for line in policy.read_text("utf-8").splitlines() if line not in before.splitlines()] == [
        f'approved: {{by: "Ann", on: {made.approval.on}, hash: "{made.meaning}", review_every: 90d}}'
    ]
    run("check", policy)
    policy.write_text(changed("Ours alone.", "Ours mostly.", policy.read_text("utf-8")), "utf-8")
    broken = words(run("check", policy, code=6))
    assert "Ann approved this policy on" in broken
    assert "have changed since" in broken
    again = words(run("policy", "approve", policy, "--by", "Bo"))
    assert "NOT the same as those that Ann approved" in again
    run("check", policy)
    assert "the same as those that Bo approved" in words(run("policy", "approve", policy, "--by", "Cy"))


def test_a_policy_that_is_not_proved_cannot_be_approved(policy: Path) -> None:
    """Exit 6, the findings, and not a byte written."""
    policy.write_text(changed("  - {try: cheapest}", "  - {try: away}", SMALL), "utf-8")
    before = policy.read_bytes()
    refused = words(run("policy", "approve", policy, "--by", "Ann", code=6))
    assert "routes[0]" in refused
    assert "nothing was written" in refused
    assert json.loads(run("policy", "approve", policy, "--by", "Ann", "--json", code=6).stdout)["approved"] is False
    assert policy.read_bytes() == before


@pytest.mark.parametrize("by", ["", "  ", "two\nlines", "bell\a"])
def test_an_approval_needs_a_name(policy: Path, by: str) -> None:
    """Nobody, or what is no name, is a usage error."""
    before = policy.read_bytes()
    run("policy", "approve", policy, "--by", by, code=2)
    run("policy", "approve", policy, code=2)
    assert policy.read_bytes() == before


def test_approve_keeps_the_files_mode_and_follows_a_link(policy: Path) -> None:
    """The file behind a link is replaced, the link stays, and nothing is left beside it."""
    policy.chmod(0o640)
    link = policy.parent / "link.yaml"
    link.symlink_to(policy)
    answer = json.loads(run("policy", "approve", link, "--by", "Ann", "--json").stdout)
    assert (answer["approved"], answer["by"], answer["meaning"]) == (True, "Ann", load(policy).meaning)
    assert link.is_symlink()
    assert policy.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in policy.parent.iterdir()) == ["laneway.yaml", "link.yaml"]


def test_a_policy_with_reviews_and_facts_of_its_own_is_shown(policy: Path) -> None:
    """The sections for them say what they do."""
    policy.write_text(SHOWN, "utf-8")
    shown = words(run("policy", policy, columns=120))
    assert (
        "Where the workload is contracts: the answer is kept back until a person approves, and never released after 168 hours; a comment is needed to reject or reclassify; where nobody is named who could, no lane is called."
        in shown
    )
    assert "matter (merger, none) and pages (0 to 100)" in shown
