"""`laneway diff` as its users meet it: files and revisions, exit codes, the page and the JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.policies import SMALL, changed

from laneway.cli import main

OLD = changed("{sensitivity: restricted, zones: [ours]", "{id: own, sensitivity: restricted, zones: [ours]", SMALL) + """\
  checks: [empty]
  weak: [strongest, marked]
fallbacks:
  - {says: The next lane takes over., then: [next, refuse]}
"""  # fmt: skip
WIDER = changed("zones: [ours], says: Ours alone.", "zones: [all], says: Anywhere too.", OLD)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with old.yaml and new.yaml, on a terminal of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("old.yaml").write_text(OLD, "utf-8")
    Path("new.yaml").write_text(WIDER, "utf-8")
    return tmp_path


def run(*arguments: str, code: int = 0) -> Result:
    """Run the command in this process; it ends with `code` and without a traceback."""
    result = CliRunner().invoke(main, ["diff", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code, result.output
    return result


def page(result: Result) -> str:
    """What was printed, without the blanks that fill a column."""
    return "\n".join(line.rstrip() for line in result.stdout.splitlines())


GOLDEN = """\
1. sensitivity restricted (2 of 4 kinds of request)
  before  home, then refused; weak answers: marked as weak
          old.yaml:17 routes[0]: home is tried first (cheapest)
          old.yaml:23 fallbacks[0]: "The next lane takes over."
          old.yaml:19 gate: if the answer is weak: marked
          old.yaml:14 own: restricted data may not use away: not in `ours`, as
          its kind is premium
  after   home, then away, then refused; weak answers: to away, else marked as
          weak
          new.yaml:19 gate: if the answer is weak: away, then marked
          new.yaml:14 own: restricted data may use away, which is in `all`
          new.yaml:17 routes[0], new.yaml:23 fallbacks[0] as before
  gains   away
  see it  laneway explain --policy new.yaml --sensitivity restricted

1 class of requests is decided differently. 4 kinds of request compared, in every outage, by enumeration."""


def test_a_class_of_change_is_told_on_one_page(here: Path) -> None:
    """Few facts, the plans before and after with the rules that decide, what is gained, and how to see it."""
    assert page(run("old.yaml", "new.yaml")) == GOLDEN
    assert len(GOLDEN.splitlines()) <= 25


def test_differences_alone_are_no_failure_unless_asked_for(here: Path) -> None:
    """0 where policies differ, 1 with --exit-code, and 0 with it where they say the same."""
    run("old.yaml", "new.yaml")
    run("old.yaml", "new.yaml", "--exit-code", code=1)
    told = page(run("old.yaml", "old.yaml", "--exit-code"))
    assert told == "No request is decided differently. 4 kinds of request compared, in every outage, by enumeration."


def test_another_text_that_decides_the_same_is_said_to(here: Path) -> None:
    """Comments, names and sentences change nothing, and the page says so."""
    Path("new.yaml").write_text("# new\n" + OLD.replace("id: own", "id: mine").replace("Ours alone.", "Ours."), "utf-8")
    assert "No request is decided differently" in run("old.yaml", "new.yaml", "--exit-code").stdout


def test_new_access_that_is_denied_ends_with_six(here: Path) -> None:
    """The lane, the request and both explanations are told; a class that gains nothing passes."""
    told = page(run("old.yaml", "new.yaml", "--deny-new-access", "restricted", code=6))
    assert "new access: restricted requests reach away" in told
    assert told.count("restricted data may not use away") == 2
    run("old.yaml", "new.yaml", "--deny-new-access", "public")
    run("new.yaml", "old.yaml", "--deny-new-access", "restricted", "--deny-new-access", "public")


def test_a_lane_that_moved_is_new_access(here: Path) -> None:
    """The same name at another address is another place, and the page says by which fact."""
    Path("new.yaml").write_text(changed("https://a.example/v1", "https://b.example/v1", OLD), "utf-8")
    told = page(run("old.yaml", "new.yaml", "--deny-new-access", "public", code=6))
    assert "new access: public requests reach away, which is another place now (url)" in told
    assert "lanes.away.url https://a.example/v1 -> https://b.example/v1" in told


def test_a_detector_that_raises_less_is_new_access(here: Path) -> None:
    """An identifier that no longer raises a text to the denied class is named."""
    Path("new.yaml").write_text(OLD + "detect: {identifiers: {iban: public}}\n", "utf-8")
    told = page(run("old.yaml", "new.yaml", "--deny-new-access", "restricted", code=6))
    assert "new access: a text that detect.iban made restricted is public now" in told


def test_json_holds_both_sides(here: Path) -> None:
    """Scripts get every class with its request, both decisions, what is gained, and where the rules stand."""
    told = json.loads(run("old.yaml", "new.yaml", "--json", "--deny-new-access", "restricted", code=6).stdout)
    assert (told["same"], told["more"], told["unproved"], told["requests"]) == (False, False, "", 4)
    (change,) = told["changes"]
    assert change["flags"] == ["--sensitivity", "restricted"]
    assert (change["gained"], change["lost"], change["requests"]) == (["away"], [], 2)
    assert (change["old"]["lanes"], change["new"]["lanes"]) == (["home"], ["home", "away"])
    assert change["new"]["redo"] == {"home": "away", "away": None}
    assert change["new"]["lines"]["routes[0]"] == 17
    (access,) = told["new_access"]
    assert (access["lane"], access["class"], access["moved"]) == ("away", "restricted", [])
    assert json.loads(run("old.yaml", "old.yaml", "--json").stdout)["same"]


def test_the_request_shown_is_read_by_explain_as_by_diff(here: Path) -> None:
    """`laneway explain` makes the same signals of the flags as either policy in the comparison."""
    works = "workloads: {legal: {sensitivity: restricted, stakes: high, latency: batch, ceiling: 2}, chat: {}}\n"
    rules = "  - {when: {stakes: high, latency: batch, ceiling: {under: 3}}, try: strongest}\n"
    old = OLD.replace("routes:\n", works + "routes:\n" + rules)
    new = old.replace("restricted, stakes: high, latency: batch", "public, stakes: normal").replace(
        "{sensitivity: public}\n", "{sensitivity: restricted}\n", 1
    )
    Path("old.yaml").write_text(old, "utf-8")
    Path("new.yaml").write_text(new, "utf-8")
    changes = json.loads(run("old.yaml", "new.yaml", "--json", "--all").stdout)["changes"]
    assert len(changes) > 2
    for change in changes:
        for side in ("old", "new"):
            flags = ["explain", "--policy", f"{side}.yaml", "--json", *change["flags"]]
            assert signals(json.loads(CliRunner().invoke(main, flags).stdout)) == signals(change[side])


def signals(told: dict[str, Any]) -> dict[str, Any]:
    """The signals without where they were found."""
    return {name: value for name, value in told["signals"].items() if name != "evidence"}


# Places


def git(*arguments: str) -> None:
    """Run git here, as nobody in particular."""
    identity = ["-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def repository(here: Path) -> Path:
    """A git repository with the old policy committed and the new one in its place."""
    git("init", "--quiet")
    Path("laneway.yaml").write_text(OLD, "utf-8")
    git("add", "laneway.yaml")
    git("commit", "--quiet", "-m", "old")
    Path("laneway.yaml").write_text(WIDER, "utf-8")
    return here


def test_a_revision_is_compared_with_a_file(repository: Path) -> None:
    """REV:PATH reads the committed file, cited by that name; a file that is really called so is the file."""
    told = page(run("HEAD:laneway.yaml", "laneway.yaml"))
    assert "HEAD:laneway.yaml:17 routes[0]" in told
    assert "laneway explain --policy laneway.yaml" in told
    (repository / "sub").mkdir()
    assert "1 class of requests" in page(run("HEAD:./laneway.yaml", "laneway.yaml"))
    Path("HEAD:laneway.yaml").write_text(WIDER, "utf-8")
    assert "No request is decided differently" in page(run("HEAD:laneway.yaml", "laneway.yaml"))


def test_the_command_that_shows_a_request_names_the_side_that_is_a_file(repository: Path) -> None:
    """Where the new policy is a revision, the request is shown under the old one; where both are, under none."""
    assert "laneway explain --policy laneway.yaml" in page(run("laneway.yaml", "HEAD:laneway.yaml"))
    git("commit", "--quiet", "-am", "new")
    assert "laneway explain" not in page(run("HEAD~1:laneway.yaml", "HEAD:laneway.yaml"))


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("HEAD:none.yaml", "`HEAD` has no file `none.yaml`"),
        ("HEAD:", "`HEAD` has no file ``"),
        ("nowhere:laneway.yaml", "no revision `nowhere`"),
        ("--output=stolen:laneway.yaml", "is no revision"),
        (":laneway.yaml", "is no revision"),
    ],
)
def test_a_place_that_git_does_not_know_is_a_usage_error(repository: Path, place: str, says: str) -> None:
    """What is missing is named: the revision or the file. A revision cannot be an option."""
    told = run("--", place, "laneway.yaml", code=2).stderr.replace("\n", " ")
    assert says in told
    assert not Path("stolen").exists()


def test_without_a_repository_a_place_is_told_to_be_none(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a repository REV:PATH is no file either; without git that is said, not met as a traceback."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(here.parent))
    assert "no git repository" in run("HEAD:laneway.yaml", "new.yaml", code=2).stderr.replace("\n", " ")
    monkeypatch.setenv("PATH", str(here))
    assert "git is not installed" in run("HEAD:laneway.yaml", "new.yaml", code=2).stderr.replace("\n", " ")


def test_bad_policies_and_bad_classes_end_as_everywhere(repository: Path) -> None:
    """An invalid policy ends with 5, on either side and in a revision; a class that neither has with 2."""
    Path("bad.yaml").write_bytes(b"\xff")
    git("add", "bad.yaml")
    git("commit", "--quiet", "-m", "bad")
    for place in ("bad.yaml", "none.yaml", "HEAD:bad.yaml"):
        assert place in run(place, "laneway.yaml", code=5).stderr.replace("\n", "")
    told = run("old.yaml", "new.yaml", "--deny-new-access", "restrictd", code=2).stderr
    assert "did you mean `restricted`?" in told.replace("\n", " ")


def test_what_could_not_be_compared_ends_with_six(here: Path) -> None:
    """Where nobody knows, the answer is neither the same nor different, but that it was not proved."""
    Path("old.yaml").write_text(OLD + "facts: {pages: {from: 0, to: 9}}\n", "utf-8")
    Path("new.yaml").write_text(OLD + "facts: {pages: {values: [few, many]}}\n", "utf-8")
    assert "NOT PROVED: the fact `pages`" in page(run("old.yaml", "new.yaml", code=6))
    told = json.loads(run("old.yaml", "new.yaml", "--json", code=6).stdout)
    assert (told["same"], told["changes"]) == (False, [])
