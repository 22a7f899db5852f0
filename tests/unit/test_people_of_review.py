"""Who may review: the file, its tokens, and what happens when it changes or cannot be used."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from laneway.cli import main
from laneway.errors import ReviewersError, UsageError
from laneway.review.people import FILE, People
from laneway.settling import alone

DAY = datetime.date(2026, 11, 29)


@pytest.fixture
def people(tmp_path: Path) -> People:
    """Nobody yet."""
    return People.load(tmp_path / FILE)


def test_a_token_names_its_person(people: People) -> None:
    """Whoever was added is found by their token and by no other text."""
    token = people.add("Ada", "review", ["ada@firm"], DAY)
    other = people.add("Bo", "audit", [], DAY)
    found = people.by_token(token)
    assert found is not None and found == ("Ada", "review", ("Ada", "ada@firm"), DAY)
    assert people.by_token(other) == ("Bo", "audit", ("Bo",), DAY)
    for wrong in ("", token[:-1], token + "x", token.upper(), "lwr_" + "x" * 10_000, "å" * 50, "\udc80"):
        assert people.by_token(wrong) is None


def test_tokens_are_long_and_are_not_kept(people: People) -> None:
    """A token holds 256 random bits, none is made twice, and the file has only its hash and is its owner's alone."""
    tokens = {people.add(f"P{i}", "review", [], DAY) for i in range(20)}
    assert len(tokens) == 20 and all(re.fullmatch(r"lwr_[\w-]{43}", token) for token in tokens)
    text = people.path.read_text("utf-8")
    assert not any(token in text or token[4:] in text for token in tokens)
    assert people.path.stat().st_mode & 0o777 == 0o600


def test_who_is_removed_is_out_at_once(people: People) -> None:
    """Another process's change is seen by the next question: removed, and added again under another token."""
    token = people.add("Ada", "review", [], DAY)
    assert people.by_token(token) is not None and people.can_review()
    elsewhere = People.load(people.path)
    assert elsewhere.remove("Ada").name == "Ada"
    assert people.by_token(token) is None and people.all() == () and not people.can_review()
    new = elsewhere.add("Ada", "audit", [], DAY)
    assert people.by_token(token) is None
    assert [p.role for p in people.all()] == ["audit"] and people.by_token(new) and not people.can_review()


def test_a_file_that_goes_takes_everybody_with_it(people: People) -> None:
    """Without a file there is nobody."""
    token = people.add("Ada", "review", [], DAY)
    people.path.unlink()
    assert people.by_token(token) is None and people.all() == ()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.chmod(0o640), "mode 0640"),
        (lambda p: p.chmod(0o604), "mode 0604"),
        (lambda p: p.write_text("{"), "is not what"),
        (lambda p: p.write_bytes(b"\xff\xfe"), "is not what"),
        (lambda p: p.write_text('{"format": 2, "reviewers": []}'), "format 2"),
        (lambda p: p.write_text('{"format": 1, "reviewers": [], "admins": []}'), "unknown field"),
        (lambda p: p.write_text(p.read_text().replace('"review"', '"owner"')), "is not what"),
        (lambda p: p.write_text(re.sub(r'"token": "..', '"token": "åä', p.read_text())), "is not what"),
        (lambda p: (p.unlink(), p.mkdir(0o700)), "cannot be read"),
        (
            lambda p: p.write_text(json.dumps({"format": 1, "reviewers": json.loads(p.read_text())["reviewers"] * 2})),
            "twice",
        ),
    ],
)
def test_a_file_that_cannot_be_used_lets_nobody_in(people: People, spoil: Callable[[Path], object], says: str) -> None:
    """Readable by others, damaged, newer or double: an error that names the file and the remedy, on every question."""
    token = people.add("Ada", "review", [], DAY)
    spoil(people.path)
    for ask in (lambda: people.by_token(token), people.all, people.can_review, lambda: People.load(people.path)):
        with pytest.raises(ReviewersError, match=says) as caught:
            ask()
        assert str(people.path) in str(caught.value) and token not in str(caught.value)


def test_one_caller_is_one_reviewer(people: People) -> None:
    """Neither a name nor a caller's name can be taken twice, in whatever case: four eyes must be two people's."""
    people.add("Ada", "review", ["ada@firm"], DAY)
    for name, callers in (("ADA", ()), ("Eve", ("Ada@Firm",)), ("ada@firm", ()), ("Bo", ("ada",))):
        with pytest.raises(UsageError, match="Ada already"):
            people.add(name, "review", callers, DAY)
    for unfit in ("", "  ", "a\nb", "x" * 101, "a\u202eb"):
        with pytest.raises(UsageError, match="is no name"):
            people.add(unfit, "review", (), DAY)
    assert [p.name for p in people.all()] == ["Ada"]


def test_two_changes_at_once_lose_nobody(people: People) -> None:
    """While another command changes the file, this one says so and writes nothing."""
    with alone(people.path, AssertionError), pytest.raises(ReviewersError, match="another command"):
        people.add("Ada", "review", [], DAY)
    assert people.all() == ()


def test_the_command_adds_lists_and_removes(tmp_path: Path) -> None:
    """`laneway reviewers` prints a token once, lists people without it, and removes them by name."""
    run, policy = CliRunner(), ["--policy", str(tmp_path / "laneway.yaml")]
    assert run.invoke(main, ["reviewers", "list", *policy]).output.startswith("nobody may review")
    added = run.invoke(main, ["reviewers", "add", "Ada", "--role", "review", "--as", "ada@firm", *policy])
    token = added.stdout.strip()
    assert added.exit_code == 0 and People.load(tmp_path / FILE).by_token(token)
    second = run.invoke(main, ["reviewers", "add", "Bo", "--role", "audit", "--json", *policy])
    assert People.load(tmp_path / FILE).by_token(json.loads(second.stdout)["token"]) is not None
    listed = run.invoke(main, ["reviewers", "list", *policy])
    assert "Ada" in listed.output and "ada@firm" in listed.output and token not in listed.output
    told = json.loads(run.invoke(main, ["reviewers", "list", "--json", *policy]).stdout)
    assert [p["role"] for p in told] == ["review", "audit"]
    assert run.invoke(main, ["reviewers", "add", "ada", "--role", "audit", *policy]).exit_code == 2
    assert run.invoke(main, ["reviewers", "add", "Cy", "--role", "owner", *policy]).exit_code == 2
    assert run.invoke(main, ["reviewers", "remove", "Adaa", *policy]).exit_code == 2
    assert run.invoke(main, ["reviewers", "remove", "Ada", *policy]).exit_code == 0
    assert People.load(tmp_path / FILE).by_token(token) is None
